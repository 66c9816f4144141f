"""Write a report as PDF, tagged as PDF/UA-1 asks and with its fonts in it."""

import re
from datetime import UTC, datetime
from pathlib import Path

import typst

from gateway.reviews.report.content import Content

_TEMPLATE = Path(__file__).with_name("report.typ").read_bytes()

# What the font has: Latin, Greek and Cyrillic letters, accents, and the signs of a text. A test
# prints all of them.
_PRINTED = re.compile("[^ -~\u00a0-\u0484\u1e00-\u1eff\u2010-\u2027\u202f-\u2040\u20ac\u2212]")


def pdf_of(content: Content, at: datetime) -> bytes:
    """Return the report, made at that time: equal contents give equal bytes."""
    document: bytes = typst.compile(
        _TEMPLATE,
        format="pdf",
        pdf_standards="ua-1",
        # Values reach the template as data, so that nothing in them is markup.
        sys_inputs={"report": printed(content).model_dump_json()},
        ignore_system_fonts=True,
        timestamp=at.astimezone(UTC).replace(microsecond=0),
    )
    return document


def printed(content: Content) -> Content:
    r"""Return the content with each character that the font lacks as an escape, such as `\u524d`.

    A text without a glyph could not be read, and PDF/UA forbids it.
    """
    escaped = re.sub(
        _PRINTED, lambda match: _escape(match[0]), content.model_dump_json(ensure_ascii=False)
    )
    return Content.model_validate_json(escaped)


def _escape(character: str) -> str:
    """Return the escape of a character, for a text in JSON."""
    return character.encode("unicode_escape").decode("ascii").replace("\\", "\\\\")
