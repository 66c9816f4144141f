"""The watch of the model: silent while nothing changes, and right about what has."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import numpy as np
import pytest

from gateway.examination import examination_of
from gateway.monitor.watch import YEAR, Acknowledgement, Watch
from gateway.monitor.watch_examination import ObservedImage
from tests.unit.gateway.monitor.streams import START, Values, healthy, profile_of, stream

ALPHA = 0.05


def validated(images: int = 1000):
    rng = np.random.default_rng(99)
    return profile_of([healthy(rng) for _ in range(images)])


def end_of(images) -> datetime:
    return images[-1].at + timedelta(hours=1)


def watched(watch: Watch, images):
    return watch.advance(images, end_of(images))


def darker(rng: np.random.Generator) -> Values:
    values = healthy(rng)
    values["quality"]["luma_mean"] -= 0.15
    return values


def without_hsil(rng: np.random.Generator) -> Values:
    values = healthy(rng)
    values["classes"]["HSIL"] = 0
    return values


def test_healthy_stream_raises_no_alarm_and_shows_no_evidence():
    watch = Watch(validated(), ALPHA)
    assert watched(watch, list(stream(1500, healthy, seed=1))) == []
    assert max(max(group.values()) for group in watch.evidence().values()) < 50


@pytest.mark.parametrize(
    ("changed", "group", "statistic"),
    [(darker, "quality", "luma_mean"), (without_hsil, "classes", "HSIL")],
)
def test_change_alarms_its_group_and_no_other(changed, group, statistic):
    watch = Watch(validated(), ALPHA)
    assert watched(watch, list(stream(600, healthy, seed=2))) == []
    after = list(stream(900, changed, seed=3, first=600))
    alarms = watched(watch, after)
    assert {(alarm.group, alarm.reference) for alarm in alarms} == {
        (group, "validation"),
        (group, "earlier"),
    }
    for alarm in alarms:
        assert (alarm.statistic, alarm.is_higher) == (statistic, False)
        assert alarm.evidence >= watch.threshold
        assert abs(alarm.since - after[0].at) < timedelta(hours=6)
        assert alarm.since < alarm.at


def test_clinic_unlike_validation_alarms_against_validation_alone():
    watch = Watch(validated(), ALPHA)
    alarms = watched(watch, list(stream(600, darker, seed=4)))
    assert {alarm.reference for alarm in alarms} == {"validation"}


def test_model_without_profile_is_compared_with_earlier_images():
    watch = Watch(None, ALPHA)
    images = [*stream(600, healthy, seed=5), *stream(300, darker, seed=6, first=700)]
    assert {alarm.reference for alarm in watched(watch, images)} == {"earlier"}


def test_statistics_share_the_doubt_of_the_reference_however_many():
    """A profile of many classes has more statistics than are counted on, each with less doubt."""
    rng = np.random.default_rng(13)
    few = [healthy(rng) for _ in range(200)]
    many = [values | {"classes": {f"class {n}": 0.0 for n in range(100)}} for values in few]
    margins = [
        Watch(profile_of(images), ALPHA)._validation["quality"]["luma_mean"].margin
        for images in (few, many)
    ]
    doubts = [2 * np.exp(-2 * 200 * (margin - 0.01) ** 2) for margin in margins]
    assert doubts == pytest.approx([ALPHA * 0.1 / 50, ALPHA * 0.1 / 104])


def with_more(rng: np.random.Generator) -> Values:
    """An image whose statistics are those of a later version."""
    values = healthy(rng)
    values["quality"]["sharpness"] = float(rng.normal(0.02, 0.001))
    return values


def test_running_watch_goes_on_where_images_have_more_statistics():
    profile = profile_of([with_more(np.random.default_rng(n)) for n in range(1000)])
    watch = Watch(profile, ALPHA)
    assert watched(watch, list(stream(300, healthy, seed=10))) == []
    resumed = Watch.from_json(json.loads(json.dumps(watch.to_json())), profile, ALPHA)
    assert watched(resumed, list(stream(600, with_more, seed=11, first=300))) == []
    assert resumed.to_json()["groups"]["quality"]["names"] == ["dark_share", "luma_mean"]
    assert watched(resumed, list(stream(400, darker, seed=12, first=2000))) != []


def test_alarm_is_raised_once_until_it_is_acknowledged():
    watch = Watch(validated(), ALPHA)
    images = list(stream(400, darker, seed=7))
    (first,) = watched(watch, images)
    again = list(stream(400, darker, seed=8, first=1000))
    assert watched(watch, again) == []
    seen = Acknowledgement(end_of(again), first.group, first.reference)
    later = list(stream(400, darker, seed=9, first=2000))
    (second,) = watch.advance(later, end_of(later), [seen])
    assert (second.group, second.reference) == (first.group, first.reference)
    assert second.since >= seen.at


def test_acknowledged_change_becomes_the_earlier_images():
    watch = Watch(None, ALPHA)
    before = [*stream(600, healthy, seed=10), *stream(300, darker, seed=11, first=700)]
    (alarm,) = watched(watch, before)
    later = list(stream(600, darker, seed=12, first=2000))
    seen = Acknowledgement(end_of(before), alarm.group, alarm.reference)
    assert watch.advance(later, end_of(later), [seen]) == []


def test_images_of_one_examination_are_one_bet():
    images = [replace(image, examination="one") for image in stream(300, darker, seed=13)]
    watch = Watch(validated(), ALPHA)
    assert watched(watch, images) == []
    assert watch.examinations == 1


def skewed(rng: np.random.Generator) -> Values:
    return {"quality": {"glare_share": float(rng.exponential(0.01) ** 2)}}


def test_more_images_of_each_patient_are_no_change():
    rng = np.random.default_rng(20)
    images, number = [], 0
    for examination in range(700):
        for _ in range(1 if examination < 350 else 8):
            at = START + timedelta(minutes=15 * examination, seconds=number % 60)
            id_ = str(UUID(int=number))
            images.append(ObservedImage(id_, at, f"n{examination}", skewed(rng)))
            number += 1
    assert watched(Watch(None, ALPHA), sorted(images, key=lambda image: image.at)) == []


def in_window(minute: int, examination: str, values: Values) -> ObservedImage:
    at = START + timedelta(minutes=minute)
    return ObservedImage(str(UUID(int=minute)), at, examination, values)


def test_window_that_follows_a_counted_one_does_not_count():
    values = healthy(np.random.default_rng(21))
    keys = [examination_of([], "key:a", START + timedelta(minutes=minute)) for minute in range(60)]
    watch = Watch(None, ALPHA)
    # From 08:08 to 08:12 is one examination in two windows; the next one is at 08:25.
    images = [in_window(minute, keys[minute], values) for minute in (8, 9, 11, 12, 25, 34)]
    watched(watch, images)
    assert watch.examinations == 2


def test_windows_of_other_callers_count():
    values = healthy(np.random.default_rng(22))
    first, second = (
        in_window(minute, examination_of([], caller, START + timedelta(minutes=minute)), values)
        for minute, caller in ((8, "key:a"), (12, "key:b"))
    )
    watch = Watch(None, ALPHA)
    watched(watch, [first, second])
    assert watch.examinations == 2


def test_examination_that_comes_back_within_a_day_counted_already():
    values = healthy(np.random.default_rng(23))
    watch = Watch(None, ALPHA)
    watched(watch, [in_window(minute, "n7", values) for minute in (0, 300)])
    assert watch.examinations == 1
    watched(watch, [in_window(3 * 24 * 60, "n7", values)])
    assert watch.examinations == 2


def test_state_of_another_version_is_refused():
    with pytest.raises(ValueError, match="another version"):
        Watch.from_json({"format": 0}, None, ALPHA)


def test_examination_counts_once_it_has_ended():
    (image,) = stream(1, healthy, seed=14)
    watch = Watch(None, ALPHA)
    watch.advance([image], image.at + timedelta(minutes=9))
    assert watch.examinations == 0
    watch.advance([], image.at + timedelta(minutes=10))
    assert watch.examinations == 1


def test_state_goes_through_json_at_any_time():
    images = [*stream(500, healthy, seed=15), *stream(300, darker, seed=16, first=600)]
    whole = Watch(validated(), ALPHA)
    expected = watched(whole, images)

    watch, alarms = Watch(validated(), ALPHA), []
    for first in range(0, len(images), 7):
        part = images[first : first + 7]
        alarms += watch.advance(part, part[-1].at)
        watch = Watch.from_json(json.loads(json.dumps(watch.to_json())), validated(), ALPHA)
    alarms += watch.advance([], end_of(images))
    assert alarms == expected
    assert expected
    assert watch.to_json() == whole.to_json()


def test_year_begins_without_evidence():
    watch = Watch(validated(), ALPHA)
    images = list(stream(60, darker, seed=17))
    watch.advance(images, end_of(images))
    (later,) = stream(1, healthy, seed=18)
    later = replace(later, at=START + YEAR + timedelta(days=1))
    watch.advance([later], later.at + timedelta(hours=1))
    assert max(max(group.values()) for group in watch.evidence().values()) < 2


def test_unknown_groups_and_missing_statistics_are_no_bets():
    (image,) = stream(1, healthy, seed=19)
    watch = Watch(validated(), ALPHA)
    watch.advance([replace(image, values={"later": {"x": 1.0}, "scores": {}})], end_of([image]))
    assert watch.evidence() == {}
    assert watch.examinations == 1


def test_share_of_healthy_streams_that_alarm_is_within_alpha():
    """Few streams and a large alpha, for its speed: benchmarks/watch.py has them all."""
    alpha, streams = 0.5, 40
    profile = validated(200)
    alarmed = sum(
        bool(watched(Watch(profile, alpha), list(stream(300, healthy, seed=1000 + seed))))
        for seed in range(streams)
    )
    assert alarmed <= streams * (alpha + 2 * (alpha * (1 - alpha) / streams) ** 0.5)
