from datetime import date
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipeline.errors import BadRequest
from pipeline.http.query import read_query
from pipeline.schemas import PredictOptions


class Search(BaseModel):
    """Options of every type."""

    model_config = ConfigDict(extra="forbid")

    first: date = Field(default=date(2026, 1, 1), alias="from")
    last: date = Field(default=date(2026, 1, 2), alias="to")
    count: int = Field(default=1, ge=1)
    deep: bool = False
    text: str = Field(default="", max_length=3)
    kind: Literal["only"] = "only"

    @model_validator(mode="after")
    def _is_a_period(self) -> "Search":
        if self.last < self.first:
            raise ValueError("'from' must not lie after 'to'")
        return self


def test_reads_every_option():
    pairs = [("masks", "none"), ("visualization", "png"), ("score_threshold", "0.25")]
    expected = PredictOptions(masks="none", visualization="png", score_threshold=0.25)
    assert read_query(pairs, PredictOptions) == expected


@pytest.mark.parametrize("value", ["0.1", "0", "1", "1.", ".1", "+0.1", "1e-1", "1E-1", "0.100"])
def test_reads_number_in_every_notation(value):
    options = read_query([("score_threshold", value)], PredictOptions)
    assert options.score_threshold == float(value)


def test_missing_options_get_defaults():
    assert read_query([], PredictOptions) == PredictOptions()


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([("masks", "png")], "The option 'masks' must be rle, polygon or none."),
        ([("masks", "")], "The option 'masks' must be rle, polygon or none."),
        ([("visualization", "gif")], "The option 'visualization' must be jpeg, png or none."),
        *[
            (
                [("score_threshold", value)],
                "The option 'score_threshold' must be a number from 0 to 1.",
            )
            for value in ("2", "-1", "NaN", "inf", "a", "", "0,5", "0x1", "None", "1e400")
            + (
                "0_1",
                "0._5",
                "0_0.5",
                "1_",
                " 0.5",
                "0.5 ",
                "0.5\n",
                "\u0660.\u0665",
                "+-1",
                "1e-",
                ".",
            )
        ],
        (
            [("masks", "rle"), ("masks", "rle")],
            "The option 'masks' is given 2 times; give it once.",
        ),
        (
            [("mask", "rle")],
            "There is no option 'mask'; the options are masks, visualization and score_threshold. "
            "Did you mean 'masks'?",
        ),
        (
            [("ü\n", "")],
            "There is no option '\\xfc\\n'; "
            "the options are masks, visualization and score_threshold.",
        ),
    ],
)
def test_rejects_wrong_option_in_plain_english(pairs, message):
    with pytest.raises(BadRequest) as refusal:
        read_query(pairs, PredictOptions)
    assert str(refusal.value) == message


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([("from", "May")], "The option 'from' must be a date such as 2026-11-30."),
        ([("from", "1764460800")], "The option 'from' must be a date such as 2026-11-30."),
        ([("from", "0")], "The option 'from' must be a date such as 2026-11-30."),
        ([("count", "1_0")], "The option 'count' must be a whole number of at least 1."),
        ([("count", "0")], "The option 'count' must be a whole number of at least 1."),
        ([("deep", "perhaps")], "The option 'deep' must be true or false."),
        ([("text", "long")], "The option 'text' must be text of at most 3 characters."),
        ([("kind", "other")], "The option 'kind' must be only."),
        (
            [("from", "2026-02-01")],
            "The options contradict each other: 'from' must not lie after 'to'.",
        ),
    ],
)
def test_rejects_wrong_value_of_each_type_in_plain_english(pairs, message):
    with pytest.raises(BadRequest) as refusal:
        read_query(pairs, Search)
    assert str(refusal.value) == message


def test_shortens_long_unknown_name():
    with pytest.raises(BadRequest) as refusal:
        read_query([("x" * 10_000, "")], PredictOptions)
    assert len(str(refusal.value)) < 200
