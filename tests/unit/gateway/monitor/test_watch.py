"""The watch of the model: silent while nothing changes, and right about what has."""

import json
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest

from gateway.monitor.watch import YEAR, Acknowledgement, Watch
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
