"""Text from outside, made safe for a terminal and for a line of a log."""


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
