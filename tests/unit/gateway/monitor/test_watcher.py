"""The watches in the database: each verdict once, whoever advances them, and again in a replay."""

import io
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command

from gateway.audit.models import Event
from gateway.monitor import watcher
from gateway.monitor.models import ReferenceProfile, WatchAlarm, WatchState
from gateway.monitor.stored_profiles import stored_profile
from gateway.monitor.watch_metrics import refresh_watch_metrics
from gateway.monitor.watcher import prune_observations, run_watches
from gateway.usage.models import Observation, Sketch
from gateway.usage.observations import SETTLED_AFTER
from tests.clinics import organisation_named
from tests.unit.gateway.metric_values import value
from tests.unit.gateway.monitor.streams import START, healthy, profile_of, stream
from tests.unit.gateway.monitor.test_watch import darker, validated

pytestmark = pytest.mark.django_db

DIGEST = "d" * 64


@pytest.fixture
def clinic():
    profile = validated(400).model_dump()
    ReferenceProfile.objects.create(bundle_sha256=DIGEST, profile=profile)
    return organisation_named("clinic")


@pytest.fixture
def at(monkeypatch):
    """Run the watches at this time."""

    def run(now: datetime) -> None:
        monkeypatch.setattr(watcher, "settled_until", lambda: now - SETTLED_AFTER)
        run_watches()

    return run


def store(clinic, images) -> datetime:
    """Store the observations of the images, and return a time when all have ended."""
    images = list(images)
    Observation.objects.bulk_create(
        Observation(
            request_id=UUID(image.request_id),
            at=image.at,
            organisation=clinic,
            examination=image.examination,
            bundle_sha256=DIGEST,
            width=1280,
            height=960,
            values=image.values,
        )
        for image in images
    )
    return images[-1].at + timedelta(hours=1)


def command(*arguments: str) -> str:
    out = io.StringIO()
    call_command("watch", *arguments, stdout=out)
    return out.getvalue()


def test_changed_images_become_an_alarm_an_event_and_a_metric(clinic, at):
    at(store(clinic, stream(200, healthy, seed=1)))
    assert not WatchAlarm.objects.exists()
    changed = list(stream(300, darker, seed=2, first=300))
    at(store(clinic, changed))
    alarm = WatchAlarm.objects.get(reference="validation")
    assert (alarm.group, alarm.statistic, alarm.is_higher) == ("quality", "luma_mean", False)
    low, median, _ = alarm.usual
    assert alarm.now < low < median
    darkest = {image.request_id for image in changed}
    assert len(alarm.examples) == 3
    assert set(alarm.examples) <= darkest
    events = Event.objects.filter(action=Event.Action.WATCH_ALARMED)
    assert events.count() == WatchAlarm.objects.count()
    refresh_watch_metrics()
    labels = {"group": "quality", "reference": "validation"}
    assert value("watch_alarms", **labels) == 1
    assert value("watch_alarms", **(labels | {"group": "scores"})) == 0


def test_images_are_taken_once_they_are_settled(clinic, at):
    end = store(clinic, stream(1, healthy, seed=3))
    at(START + timedelta(seconds=20))
    assert not WatchState.objects.exists()
    at(end)
    assert WatchState.objects.get().state["examinations"] == 1


def test_small_steps_find_the_same(clinic, at, monkeypatch):
    images = [*stream(200, healthy, seed=4), *stream(200, darker, seed=5, first=300)]
    monkeypatch.setattr(watcher, "_STEP", 30)
    at(store(clinic, images))
    assert WatchAlarm.objects.exists()
    assert "the same" in command("replay")


def test_replay_finds_the_same_after_acknowledgement_and_pruning(clinic, at, monkeypatch):
    first = store(clinic, [*stream(150, healthy, seed=6), *stream(300, darker, seed=7, first=200)])
    at(first)
    alarm = WatchAlarm.objects.get(reference="validation")
    command("acknowledge", str(alarm.pk))
    WatchAlarm.objects.filter(pk=alarm.pk).update(acknowledged_at=first + timedelta(minutes=1))
    second = store(clinic, stream(700, darker, seed=8, first=600))
    at(second)
    assert WatchAlarm.objects.filter(reference="validation").count() == 2
    assert "the same" in command("replay")
    stored = Observation.objects.count()
    monkeypatch.setattr(watcher, "expired_before", lambda: START + timedelta(days=1))
    prune_observations()
    assert 0 < Observation.objects.count() < stored
    assert Sketch.objects.exists()
    assert "the same" in command("replay")


def test_replay_tells_of_a_changed_observation(clinic, at):
    at(store(clinic, [*stream(150, healthy, seed=9), *stream(200, darker, seed=10, first=200)]))
    row = Observation.objects.order_by("at")[200]
    row.values["quality"]["luma_mean"] += 0.3
    row.save()
    with pytest.raises(SystemExit, match="1"):
        command("replay")


def test_two_processes_raise_an_alarm_once(clinic, at):
    end = store(clinic, stream(300, darker, seed=11))
    at(START)  # makes nothing yet
    watcher._begin_watches(end)
    both = [WatchState.objects.get(), WatchState.objects.get()]
    for state in both:
        watcher._advance(state, end)
    assert WatchAlarm.objects.count() == 1
    assert WatchState.objects.get().turn == 1


def test_model_waits_for_its_profile(at):
    clinic = organisation_named("clinic")
    end = store(clinic, stream(10, healthy, seed=12))
    at(end)
    assert not WatchState.objects.exists()
    ReferenceProfile.objects.create(bundle_sha256=DIGEST, profile=None)
    at(end)
    assert WatchState.objects.get().state["examinations"] > 0


def test_observations_of_unwatched_models_are_pruned_too():
    store(organisation_named("clinic"), stream(5, healthy, seed=13))
    prune_observations()
    assert not Observation.objects.exists()
    assert Sketch.objects.count() == 1


def test_idle_watch_is_not_written_again(clinic, at):
    end = store(clinic, stream(20, healthy, seed=18))
    at(end)
    turn = WatchState.objects.get().turn
    at(end + timedelta(hours=1))
    assert WatchState.objects.get().turn == turn


def test_broken_watch_does_not_stop_the_others(clinic, at):
    store(clinic, stream(20, healthy, seed=19))
    at(store(organisation_named("other"), stream(20, healthy, seed=20)))
    broken, whole = WatchState.objects.order_by("pk")
    WatchState.objects.filter(pk=broken.pk).update(state={"format": 1})
    store(clinic, stream(20, healthy, seed=21, first=100))
    at(store(organisation_named("other"), stream(20, healthy, seed=22, first=100)))
    was, now = whole.state["examinations"], WatchState.objects.get(pk=whole.pk)
    assert now.state["examinations"] > was


def test_acknowledgement_counts_though_the_watch_is_ahead_of_the_clock(clinic, at):
    at(store(clinic, stream(300, darker, seed=23)))
    alarm = WatchAlarm.objects.get()
    ahead = WatchState.objects.get()
    ahead.until += timedelta(days=3650)
    ahead.save()
    command("acknowledge", str(alarm.pk))
    alarm.refresh_from_db()
    assert alarm.acknowledged_at > ahead.until


def test_status_says_what_changed_in_words(clinic, at):
    at(store(clinic, stream(300, darker, seed=14)))
    text = command("status")
    assert "Images are darker than the images that the model was validated on" in text
    assert "clinic" in text


def test_acknowledging_is_an_event_and_happens_once(clinic, at):
    at(store(clinic, stream(300, darker, seed=15)))
    alarm = WatchAlarm.objects.get()
    command("acknowledge", str(alarm.pk))
    alarm.refresh_from_db()
    assert alarm.acknowledged_by == "command"
    assert Event.objects.filter(action=Event.Action.WATCH_ACKNOWLEDGED).count() == 1
    with pytest.raises(CommandError, match="before"):
        command("acknowledge", str(alarm.pk))
    with pytest.raises(CommandError, match="no alarm"):
        command("acknowledge", "999")


def test_unknown_organisation_is_named_in_the_error(clinic):
    with pytest.raises(CommandError, match="organisation"):
        command("--organisation", "nobody", "status")


def test_watches_of_organisations_are_apart(clinic, at):
    other = organisation_named("other")
    store(other, stream(300, healthy, seed=16))
    at(store(clinic, stream(300, darker, seed=17, first=1000)))
    assert {alarm.organisation for alarm in WatchAlarm.objects.all()} == {clinic}


def test_profile_that_is_kept_has_what_the_watch_reads():
    profile = profile_of([{"quality": {"luma_mean": 0.5}}, {"quality": {"luma_mean": 0.6}}])
    ReferenceProfile.objects.create(bundle_sha256=DIGEST, profile=profile.model_dump())
    assert stored_profile(DIGEST) == profile
