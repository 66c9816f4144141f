import random
from collections import Counter
from datetime import date, timedelta
from uuid import uuid4

import pytest
from django.db.models import F
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.chain import Head, today
from gateway.audit.models import Record, Source, State
from gateway.people.models import Organisation
from gateway.usage import tally
from gateway.usage.charts import charts
from gateway.usage.models import Tally
from gateway.usage.summary import percentiles, summarise
from gateway.usage.tally import fold, latency_bin, latency_ms
from tests.clinics import issue_key, organisation_named

pytestmark = pytest.mark.django_db


def close(organisation: Organisation | None, **values: object) -> Record:
    record = Record(request_id=uuid4(), organisation=organisation, **values)
    record.finished_at = timezone.now()
    Record.objects.close(record)
    return record


def some_records(organisation: Organisation, count: int) -> list[Record]:
    rng = random.Random(7)
    return [
        close(
            organisation,
            state=rng.choice([State.SUCCEEDED, State.SUCCEEDED, State.REJECTED]),
            key_id=rng.choice(["a" * 12, "b" * 12]),
            latency_ms=rng.uniform(1, 5000),
            image_format=rng.choice(["JPEG", "PNG"]),
            image_pixels=rng.choice([250_000, 250_001, 12_000_000]),
            model_name="demo",
            model_version=rng.choice(["1", "2"]),
            class_counts={"LSIL": rng.randint(0, 2), "HSIL": rng.randint(0, 2)},
            score_counts=[rng.randint(0, 1) for _ in range(10)],
        )
        for _ in range(count)
    ]


def test_counts_match_records(monkeypatch):
    monkeypatch.setattr(tally, "_ROWS", 7)  # several folds, the last one not full
    ours, theirs = organisation_named("ours"), organisation_named("theirs")
    records = some_records(ours, 40)
    some_records(theirs, 5)
    close(None, state=State.REJECTED)  # nobody's
    summary = summarise(ours, today(), today())
    answered = [record for record in records if record.state == "succeeded"]
    assert summary.requests == 40
    assert summary.outcomes == Counter(record.state for record in records)
    assert summary.callers == Counter(f"key:{record.key_id}" for record in records)
    assert summary.image_types == Counter(record.image_format for record in records)
    sizes = {250_000: "up to 0.25 Mpx", 250_001: "up to 0.5 Mpx", 12_000_000: "up to 16 Mpx"}
    assert summary.image_sizes == Counter(sizes[record.image_pixels] for record in records)
    assert summary.model_versions == Counter(f"demo {record.model_version}" for record in answered)
    for label in ("LSIL", "HSIL"):
        assert summary.classes[label] == sum(record.class_counts[label] for record in answered)
    assert summary.scores == [
        sum(column) for column in zip(*(r.score_counts for r in answered), strict=True)
    ]
    (day,) = summary.days
    assert (day.day, day.requests, day.outcomes) == (today(), 40, summary.outcomes)


def test_each_record_counts_once():
    organisation = organisation_named("ours")
    some_records(organisation, 3)
    for _ in range(3):
        assert summarise(organisation, today(), today()).requests == 3
    some_records(organisation, 2)
    assert summarise(organisation, today(), today()).requests == 5


def test_other_days_are_not_counted():
    organisation = organisation_named("ours")
    some_records(organisation, 3)
    yesterday = today() - timedelta(days=1)
    assert summarise(organisation, yesterday, yesterday).requests == 0


def test_probes_are_in_no_usage_number():
    organisation = organisation_named("ours")
    some_records(organisation, 2)
    close(organisation, state=State.SUCCEEDED, source=Source.PROBE, class_counts={"LSIL": 3})
    close(organisation, state=State.FAILED, source=Source.PROBE)
    some_records(organisation, 1)
    summary = summarise(organisation, today(), today())
    assert (summary.requests, sum(summary.outcomes.values())) == (3, 3)
    assert not Head.objects.filter(trail="requests", length__gt=F("tallied")).exists(), (
        "prune_audit waits for it"
    )


def test_replayed_answer_counts_no_detections():
    organisation = organisation_named("ours")
    close(organisation, state=State.SUCCEEDED, replayed=True, class_counts={"LSIL": 3})
    summary = summarise(organisation, today(), today())
    assert (summary.requests, summary.classes) == (1, {})


def test_chart_of_callers_names_keys_and_people():
    key, _ = issue_key("a viewer")
    for caller in ({"key_id": key.id}, {"user": "ada"}):
        record = Record(request_id=uuid4(), state="succeeded", **caller)
        record.organisation = key.organisation
        assert Record.objects.close(record)
    summary = summarise(key.organisation, today(), today())
    (chart,) = [chart for chart in charts(summary) if chart.title == "Callers"]
    assert [bar.label for bar in chart.bars] == [f"a viewer (key:{key.id})", "user:ada"]


def test_longest_model_name_and_version_are_counted():
    ours = organisation_named("ours")
    close(ours, state=State.SUCCEEDED, model_name="n" * 200, model_version="v" * 100)
    assert summarise(ours, today(), today()).model_versions == {"n" * 200: 1}


def test_large_counts_are_stored():
    organisation = organisation_named("ours")
    some_records(organisation, 1)
    fold()
    Tally.objects.update(count=2**40)
    some_records(organisation, 1)
    fold()
    assert max(Tally.objects.values_list("count", flat=True)) > 2**40
    assert summarise(organisation, date(2020, 1, 1), today()).requests > 2**40


@given(st.lists(st.floats(1, 1e6), min_size=1, max_size=300))
def test_percentile_is_at_most_nine_percent_too_high(latencies):
    values = percentiles(Counter(map(latency_bin, latencies)))
    ordered = sorted(latencies)
    for percent in (50, 90, 95, 99):
        exact = ordered[-(-percent * len(ordered) // 100) - 1]
        assert exact * 0.9999 - 0.1 <= values[f"p{percent}"] <= exact * 1.0906 + 0.1


@given(st.floats(0, 1e7))
def test_latency_is_below_upper_end_of_its_bin(ms):
    assert ms <= latency_ms(latency_bin(ms)) * 1.000001
