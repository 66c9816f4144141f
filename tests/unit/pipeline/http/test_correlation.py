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
def test_accepts_short_id_of_plain_characters(id_):
    assert read_correlation_id([id_]) == well_formed([id_]) == id_
    assert re.fullmatch(PATTERN, id_)


@pytest.mark.parametrize("id_", BAD)
def test_rejects_malformed_id(id_):
    assert well_formed([id_]) is None
    with pytest.raises(BadRequest, match="X-Correlation-Id must be"):
        read_correlation_id([id_])


def test_returns_no_id_without_header():
    assert read_correlation_id([]) is None


def test_rejects_two_equal_ids():
    assert well_formed(["a", "a"]) is None
    with pytest.raises(BadRequest):
        read_correlation_id(["a", "a"])
