"""The texts of the page's scripts: none is missing, and none is left over."""

import re
from pathlib import Path

import pytest

from gateway import database, errors
from gateway.error_page import _TITLES
from pipeline.errors import LesionserveError
from serve_app.paths import ROOT

SCRIPTS = ROOT / "gateway" / "web" / "static" / "web"
# Keys that are put together from these beginnings and what the service or a state says.
BUILT = ("advice.", "error.", "quality.", "report.", "state.")


def keys() -> set[str]:
    text = (SCRIPTS / "messages.js").read_text()
    return set(re.findall(r'^  "([a-z]+(?:\.[\w]+)*)":', text, re.MULTILINE))


def scripts() -> list[Path]:
    """Return the scripts of the page; the viewer has its own texts."""
    return [*SCRIPTS.glob("*.js"), *SCRIPTS.glob("review/*.js")]


def literals() -> set[str]:
    """Return each string of the scripts that looks like a key."""
    text = "\n".join(path.read_text() for path in scripts() if path.name != "messages.js")
    return set(re.findall(r'"([a-z]+(?:\.[\w]+)*)"', text))


def titles() -> dict[str, str]:
    """Return the English title of each code that the service may answer with."""
    classes = [LesionserveError]
    for each in classes:
        classes += each.__subclasses__()
    modules = {LesionserveError.__module__, errors.__name__, database.__name__}
    return {each.code: each.title for each in classes if each.__module__ in modules}


def test_every_message_is_used():
    unused = {key for key in keys() if not key.startswith(BUILT)} - literals()
    assert unused == set()


def test_every_message_that_is_asked_for_exists():
    groups = {key.partition(".")[0] for key in keys() if "." in key}
    asked = {key for key in literals() if "." in key and key.partition(".")[0] in groups}
    assert asked <= keys()


def test_texts_are_in_messages_alone():
    """A sentence in another script would be left out of a translation."""
    sentences = []
    for path in scripts():
        if path.name not in ("messages.js", "drop_guard.js"):
            code = re.sub(r"//.*|throw new \w+\(.*", "", path.read_text())
            sentences += re.findall(r'"[A-Z][a-z]+ [a-z ]+[^"]*"', code)
    assert [text for text in sentences if text != '"The session has changed."'] == []


@pytest.mark.parametrize("name", ["messages.js", "viewer/messages.js"])
def test_words_are_marked_for_translation(name: str):
    """What has no letters beside placeholders and units is the same in each language."""
    plain = re.findall(r'(?::|\?) "((?:[^"\\]|\\.)*)"', (SCRIPTS / name).read_text())
    words = [
        each for each in plain if re.search(r"[a-z]", re.sub(r"\{\w+\}|\b(px|mm²?)", "", each))
    ]
    assert words == []


def test_every_refusal_has_its_title():
    shown = re.findall(r'"error\.(\w+)": gettext\("(.*)"\)', (SCRIPTS / "messages.js").read_text())
    assert dict(shown) == titles()


def test_error_pages_have_titles_of_problems():
    assert {code: str(title) for code, title in _TITLES.items()}.items() <= titles().items()
