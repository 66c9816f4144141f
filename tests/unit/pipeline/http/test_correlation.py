import re

import pytest

from pipeline.errors import BadRequest
from pipeline.http.correlation import PATTERN, read_correlation_id, well_formed

GOOD = [
    "a",
    "7",
    "3f0c1f2e-8d0e-4a43-9a55-0f6f3c1b7c11",
    "1.2.840.113619.2.55.3.604688119.971.1268",
    "urn:uuid:x_y",
    "x" * 64,
]
BAD = [
    "",
    " ",
    "x" * 65,
    "a b",
    "-a",
    "=1+1",
    "a/b",
    "DOE^JANE",
    "jane@clinic.example",
    "M\u00fcller",
    "\u0661",
    "a\n",
    "a\r\nX: y",
    "<b>",
    "a\xa0",
    "a\0",
]


@pytest.mark.parametrize("id_", GOOD)
def test_a_short_id_of_plain_characters_is_taken(id_):
    assert read_correlation_id([id_]) == well_formed([id_]) == id_
    assert re.fullmatch(PATTERN, id_)


@pytest.mark.parametrize("id_", BAD)
def test_any_other_id_is_refused(id_):
    assert well_formed([id_]) is None
    with pytest.raises(BadRequest, match="X-Correlation-Id must be"):
        read_correlation_id([id_])


def test_without_the_header_there_is_no_id():
    assert read_correlation_id([]) is None


def test_two_ids_are_refused_even_alike():
    assert well_formed(["a", "a"]) is None
    with pytest.raises(BadRequest):
        read_correlation_id(["a", "a"])
