"""Text of bounded length for messages that quote what others wrote."""

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
