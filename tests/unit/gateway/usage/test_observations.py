from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from gateway.audit.models import Record, Source, State
from gateway.database import database_time
from gateway.usage import observations
from gateway.usage.bins import bin_of
from gateway.usage.models import Observation, Sketch
from gateway.usage.observations import observation_of, sketch_days
from pipeline.schemas import Prediction
from tests.clinics import organisation_named
from tests.images import jpeg
from tests.integration.gateway.ingress import prediction

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def answered(**values: object) -> Record:
    record = Record(request_id=uuid4(), organisation_id=1, state=State.SUCCEEDED, **values)
    record.finished_at = NOON
    return record


def answer(**options: object) -> Prediction:
    body = prediction("", jpeg())
    body["options"] |= options
    return Prediction.model_validate(body)


def test_observation_has_the_numbers_of_the_answer():
    record, made = answered(), answer()
    row = observation_of(record, made, "e" * 32)
    assert row is not None
    assert (row.request_id, row.examination) == (record.request_id, "e" * 32)
    assert (row.width, row.height) == (made.image.width, made.image.height)
    assert row.bundle_sha256 == made.model.bundle_sha256
    assert row.values["detections"] == {"count": len(made.detections)}
    assert row.values["scores"]["highest"] == max(made.metrics.scores)


@pytest.mark.parametrize("values", [{"source": Source.PROBE}, {"replayed": True}])
def test_probes_and_replayed_answers_are_not_observed(values):
    assert observation_of(answered(**values), answer(), "e") is None


def test_findings_above_a_threshold_of_the_client_are_not_observed():
    row = observation_of(answered(), answer(score_threshold=0.1), "e")
    assert row is not None
    assert {"detections", "scores", "classes", "areas"}.isdisjoint(row.values)


@pytest.fixture
def observe(db) -> Callable[..., Observation]:
    """Store the observation of an image."""
    clinic = organisation_named("clinic")

    def store(at: datetime, value: float, **fields: object) -> Observation:
        fields = {"organisation": clinic, "examination": "e", "width": 4, "height": 3} | fields
        return Observation.objects.create(
            request_id=uuid4(),
            at=at,
            bundle_sha256="b" * 64,
            values={"quality": {"luma_mean": value}},
            **fields,
        )

    return store


def set_now(monkeypatch, now: datetime) -> None:
    monkeypatch.setattr(observations, "database_time", lambda: now)


def test_days_that_have_ended_are_sketched_once(observe, monkeypatch):
    set_now(monkeypatch, NOON + timedelta(days=1))
    for value in (0.5, 0.5, 0.25):
        observe(NOON, value)
    observe(NOON, 0.5, examination="f", width=8)
    observe(NOON + timedelta(days=1, hours=-1), 0.5)  # today
    sketch_days()
    sketch_days()
    small, large = Sketch.objects.order_by("width")
    assert (small.day, small.images, small.examinations) == (NOON.date(), 3, 1)
    assert small.counts == {"quality": {"luma_mean": {str(bin_of(0.5)): 2, str(bin_of(0.25)): 1}}}
    assert (large.width, large.images) == (8, 1)


def test_day_is_sketched_after_its_last_observation_is_committed(observe, monkeypatch):
    observe(NOON, 0.5)
    midnight = NOON + timedelta(hours=12)
    set_now(monkeypatch, midnight + timedelta(seconds=20))
    sketch_days()
    assert not Sketch.objects.exists()
    set_now(monkeypatch, midnight + timedelta(seconds=40))
    sketch_days()
    assert Sketch.objects.count() == 1


def test_observation_goes_with_its_record(db):
    clinic = organisation_named("clinic")
    record = Record(request_id=uuid4(), organisation=clinic, state=State.SUCCEEDED)
    record.finished_at = timezone.now()
    row = observation_of(record, answer(), "e" * 32)
    assert Record.objects.close(record, row)
    stored = Observation.objects.get()
    assert stored.request_id == record.request_id
    assert abs(stored.at - database_time()) < timedelta(seconds=10)
    assert not Record.objects.close(record, observation_of(record, answer(), "e" * 32))
    assert Observation.objects.count() == 1
