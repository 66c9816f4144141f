"""The texts of the page's scripts: none is missing, and none is left over."""

import re
from pathlib import Path

from serve_app.paths import ROOT

SCRIPTS = ROOT / "gateway" / "web" / "static" / "web"
# Keys that are put together from these beginnings and what the service or a state says.
BUILT = ("advice.", "earlier.", "quality.", "report.", "said.", "state.")


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
