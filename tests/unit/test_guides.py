"""Every link in the guides leads to a file of the repository, and to a heading of it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from serve_app.paths import ROOT

PAGES = sorted(
    path
    for path in (*ROOT.glob("*.md"), *ROOT.glob("[a-z]*/**/*.md"))
    if not {".venv", "out"} & set(path.relative_to(ROOT).parts)
)


def without_code(text: str) -> str:
    return re.sub(r"^ *```.*?^ *```$|`[^`\n]*`", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    text = re.sub(r"^ *```.*?^ *```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path, text: str) -> Iterator[str]:
    for link in re.findall(r"\]\(([^)\s]+)\)", without_code(text)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists():
            yield f"{link}: no such file"
        elif anchor and anchor not in anchors(target):
            yield f"{link}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_guides_lead_somewhere(page):
    assert list(broken_links(page, page.read_text())) == []


@pytest.mark.parametrize("link", ["nowhere.md", "README.md#no-such-heading", "#neither"])
def test_broken_link_is_noticed(link):
    page = ROOT / "README.md"
    (fault,) = broken_links(page, f"See [this]({link}), and [that](#documentation).")
    assert fault.startswith(link)
