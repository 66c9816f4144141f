"""Name the details of errors that hold values, so that error pages can say them in any language."""

import re

from django.utils.translation import gettext


def gettext_noop(text: str) -> str:
    """Return the text, marked for translation. Django's own needs settings, which import this."""
    return text


RATE = gettext_noop("More than %(limit)s requests a minute; wait before the next.")
HEADERS = gettext_noop(
    "The request's headers are too long; %(all)s bytes are allowed for all, and %(type)s for "
    "Content-Type."
)
METHODS = gettext_noop("Only %(allow)s is allowed here.")


def translated(detail: str) -> str | None:
    """Return a detail of a problem in the active language; None where no translation is known.

    A detail with values is known by the words around them.
    """
    for template in (RATE, HEADERS, METHODS):
        if match := _pattern(template).fullmatch(detail):
            return gettext(template) % match.groupdict()
    text = gettext(detail)
    return None if text == detail else text


def _pattern(template: str) -> re.Pattern[str]:
    """Return what a template matches, with a group for each value."""
    words = re.split(r"%\((\w+)\)s", template)
    parts = [
        f"(?P<{part}>.+)" if index % 2 else re.escape(part) for index, part in enumerate(words)
    ]
    return re.compile("".join(parts))
