"""Make text from outside safe and short for messages, terminals and logs."""

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

MAX_MESSAGE = 1000
MAX_VALUE = 60
_TAIL = 300


def one_line(text: str, limit: int = MAX_MESSAGE) -> str:
    """Return the text in one line of at most `limit` characters, without control characters.

    A longer text loses its middle, since the end of a message holds the remedy.
    """
    line = "".join(letter if letter.isprintable() else " " for letter in text)
    if len(line) <= limit:
        return line
    tail = min(_TAIL, limit // 3)
    return f"{line[: limit - tail - 3]} … {line[-tail:]}"


def counted(number: int, noun: str) -> str:
    """Return the number and the noun, which gets an `s` unless the number is 1."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def quoted(value: Any, limit: int = MAX_VALUE) -> str:
    """Return the `repr` of the value, in one line of at most `limit` characters."""
    try:
        # Slice first, so that `repr` does not write the whole of a long text.
        text = repr(value[: 2 * limit] if isinstance(value, str | bytes) else value)
    except ValueError:  # an integer of thousands of digits
        text = f"a number of {type(value).__name__}"
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def few(names: Iterable[object], count: int = 3) -> str:
    """Return the first `count` names, separated by commas, and the number of the others."""
    texts = [one_line(str(name), 100) for name in names]
    more = f" and {len(texts) - count} more" if len(texts) > count else ""
    return ", ".join(texts[:count]) + more


def nearest(name: str, candidates: Sequence[str]) -> str | None:
    """Return the candidate most like the name, ignoring case, or None where none is similar."""
    spellings = {candidate.lower(): candidate for candidate in candidates}
    matches = difflib.get_close_matches(name[:100].lower(), spellings, n=1, cutoff=0.8)
    return spellings[matches[0]] if matches else None


def printable(text: str, keep: str = "") -> str:
    r"""Return the text with its unprintable characters as escapes of a Python literal.

    Examples are `\x1b`, `\n`, `\u202e` and `\udcff`. The characters in `keep` are not escaped.
    File names, labels and key names come from outside: a control character could move the cursor,
    colour the screen or begin a new line, and a format character could reverse the text.
    """
    return "".join(c if c.isprintable() or c in keep else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
