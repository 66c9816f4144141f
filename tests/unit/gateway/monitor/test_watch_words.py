from datetime import UTC, datetime

import pytest

from gateway.monitor.models import WatchAlarm
from gateway.monitor.watch import GROUPS
from gateway.monitor.watch_cards import Range
from gateway.monitor.watch_group import REFERENCES
from gateway.monitor.watch_words import GROUP_NAMES, REFERENCE_NAMES, sentence, what_changed
from pipeline.observation import observe
from pipeline.schemas import Prediction
from tests.unit.pipeline.bundle.test_profile import answer

SINCE = datetime(2026, 11, 12, 9, 40, tzinfo=UTC)


def alarm(**values: object) -> WatchAlarm:
    fields = {
        "group": "quality", "reference": "validation", "statistic": "luma_mean",
        "is_higher": False, "since": SINCE, "usual": [0.38, 0.46, 0.55], "now": 0.31,
    }  # fmt: skip
    return WatchAlarm(**(fields | values))


def test_sentence_says_what_by_how_much_and_since_when():
    assert sentence(alarm()) == (
        "Images are darker than the images that the model was validated on: the median of "
        "luma_mean is 0.31 now, where 0.46 was usual (0.38 to 0.55 for nine images of ten). Since "
        "about 12 Nov 2026, 09:40 UTC."
    )


def test_sentence_without_numbers_says_what_and_since_when():
    text = sentence(alarm(usual=None, reference="earlier"))
    assert text.startswith("Images are darker than this organisation's earlier images. Since")


def test_median_that_stays_is_no_number_to_show():
    """Most images have no lesion at an edge, before and after."""
    rare = alarm(group="areas", statistic="edge_share", is_higher=True, usual=[0, 0, 0.5], now=0)
    assert sentence(rare) == (
        "A larger share of lesions reaches an edge of the image than in the images that the model "
        "was validated on. Since about 12 Nov 2026, 09:40 UTC."
    )
    assert Range.of(rare) is None


def test_classes_are_named():
    more = alarm(group="classes", statistic="HSIL", is_higher=True)
    assert what_changed(more) == "More lesions of the class HSIL are found"


def test_statistic_of_a_later_version_is_named():
    assert what_changed(alarm(statistic="moire")) == "moire is lower"


def answered() -> Prediction:
    """An answer that has every statistic."""
    return answer(0.9).model_copy(update={"embedding_distance": 2.0})


OBSERVED = [
    (group, statistic)
    for group, statistics in observe(answered()).items()
    for statistic in statistics
    if group != "classes"
]


@pytest.mark.parametrize(("group", "statistic"), OBSERVED)
def test_each_statistic_has_words(group, statistic):
    for is_higher in (True, False):
        words = what_changed(alarm(group=group, statistic=statistic, is_higher=is_higher))
        assert words != f"{statistic} is {'higher' if is_higher else 'lower'}"


def test_words_are_there_for_each_group():
    assert {group for group, _ in OBSERVED} | {"classes"} == set(GROUPS)


def test_each_group_and_reference_has_a_name():
    assert set(GROUP_NAMES) == set(GROUPS)
    assert set(REFERENCE_NAMES) == set(REFERENCES)


def test_range_shows_where_the_median_is_now():
    place = Range.of(alarm())
    assert place is not None
    assert 0 < place.now < place.low < place.median < place.low + place.width < 100


def test_range_of_equal_values_can_be_drawn():
    place = Range.of(alarm(usual=[0, 0, 0], now=0.2))
    assert place is not None
    assert 0 < place.low == place.median < place.now < 100
    assert place.width == 0
    assert Range.of(alarm(now=None)) is None
