"""Text from outside, made safe and short for messages, terminals and logs."""

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

MAX_MESSAGE = 1000
MAX_VALUE = 60
_TAIL = 300


def one_line(text: str, limit: int = MAX_MESSAGE) -> str:
    """Return the text without control characters, shortened in its middle to `limit` characters.

    The end is kept, since a message ends with the remedy.
    """
    line = "".join(letter if letter.isprintable() else " " for letter in text)
    if len(line) <= limit:
        return line
    tail = min(_TAIL, limit // 3)
    return f"{line[: limit - tail - 3]} … {line[-tail:]}"


def quoted(value: Any, limit: int = MAX_VALUE) -> str:
    """Return the value as Python writes it, in one line of at most `limit` characters."""
    try:
        # A slice first: the whole of a long text need not be written.
        text = repr(value[: 2 * limit] if isinstance(value, str | bytes) else value)
    except ValueError:  # a number of thousands of digits
        text = f"a number of {type(value).__name__}"
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def few(names: Iterable[object], count: int = 3) -> str:
    """Return the first names, separated by commas, and how many more there are."""
    listed = [one_line(str(name), 100) for name in names]
    more = f" and {len(listed) - count} more" if len(listed) > count else ""
    return ", ".join(listed[:count]) + more


def nearest(name: str, candidates: Sequence[str]) -> str | None:
    """Return the candidate that the name is probably a misspelling of, in whatever case."""
    spellings = {candidate.lower(): candidate for candidate in candidates}
    matches = difflib.get_close_matches(name[:100].lower(), spellings, n=1, cutoff=0.8)
    return spellings[matches[0]] if matches else None


def printable(text: str, keep: str = "") -> str:
    r"""Return the text with every character escaped that does not print as itself.

    File names, labels and names of keys come from outside. A control character in one could move
    the cursor, colour the screen or begin a line of its own, and a format character could reverse
    the order of the letters. They become escapes as in a Python literal: `\x1b`, `\n`, `\u202e`,
    `\udcff`. Those in `keep` stay.
    """
    return "".join(c if c.isprintable() or c in keep else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
