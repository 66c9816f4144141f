import pytest

from pipeline.text import counted, printable


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("case 1.jpg", "case 1.jpg"),
        ("Müller 検査.png", "Müller 検査.png"),
        ("\x1b[2J", r"\x1b[2J"),
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x9b31m\x7f\x00", r"\x9b31m\x7f\x00"),
        ("a\u202eb\u200b", r"a\u202eb\u200b"),
        ("a\u2028b\xa0c", r"a\u2028b\xa0c"),
        ("\udcff", r"\udcff"),
        ("\U000e0041", r"\U000e0041"),
    ],
)
def test_printable_escapes_unprintable_characters(text: str, expected: str) -> None:
    assert printable(text) == expected


def test_printable_keeps_given_characters() -> None:
    assert printable("a\tb\n", keep="\t") == "a\tb\\n"


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 golden cases"), (1, "1 golden case"), (2, "2 golden cases")]
)
def test_noun_has_plural_unless_there_is_one(number, text):
    assert counted(number, "golden case") == text
