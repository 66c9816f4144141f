from datetime import UTC, datetime, timedelta

import pytest

from gateway.audit.models import AuditCheck
from gateway.monitor import parts
from gateway.monitor.level import Level
from gateway.monitor.models import Alert, ProbeRun
from gateway.monitor.overview import Objective, Part
from gateway.monitor.prometheus import Series
from gateway.monitor.runs import ProbeState
from gateway.monitor.status import Probes
from gateway.predict.manifest import Manifest
from pipeline.errors import Unavailable

NOW = datetime(2026, 11, 26, 9, 30, tzinfo=UTC)
MANIFEST = Manifest(name="cervix", version="1", digest="3f" * 32)


def healthy(**counts: int) -> list[Series]:
    return [Series({"deployment": name}, count) for name, count in counts.items()]


def probes(*results: str) -> Probes:
    """Return the state after these probes, a minute apart; the last one at NOW."""
    state, runs = ProbeState(), []
    for number, result in enumerate(results):
        at = NOW - timedelta(minutes=len(results) - 1 - number)
        run = ProbeRun(at=at, result=result, seconds=0.125, error_code="overloaded")
        state = state.after(run)
        runs.insert(0, run)
    return Probes(state, runs)


def test_gateway_is_bad_where_no_record_can_be_written() -> None:
    part = parts.gateway(Unavailable("The disk is full."))
    assert (part.level, part.summary) == (Level.BAD, "The disk is full.")
    assert parts.gateway(None).level is Level.GOOD


def test_inference_is_bad_without_ready_model() -> None:
    part = parts.inference(None, Unavailable("The inference service is not ready."))
    assert (part.level, part.summary) == (Level.BAD, "The inference service is not ready.")
    assert parts.inference(MANIFEST, None).level is Level.GOOD


def test_replicas_are_bad_where_deployment_has_none() -> None:
    part = parts.replicas(healthy(Ingress=2, Predictor=0))
    assert part.level is Level.BAD
    assert part.summary == "No replica of Predictor is healthy."
    assert parts.replicas(healthy(Ingress=2, Predictor=1)).level is Level.GOOD


def test_replicas_are_unknown_without_prometheus() -> None:
    part = parts.replicas(None)
    assert part.level is Level.UNKNOWN
    assert "LESIONSERVE_PROMETHEUS_URL" in part.summary


def precision(label: str, **values: float) -> list[Series]:
    """Return the series of a class; `value` is the precision itself."""
    name = "lesionserve_gateway_precision"
    return [
        Series({"__name__": name if part == "value" else f"{name}_{part}", "label": label}, value)
        for part, value in values.items()
    ]


def test_accuracy_is_bad_where_upper_bound_of_class_is_below_reference() -> None:
    part = parts.accuracy(
        [
            *precision("HSIL", value=0.6, low=0.5, high=0.7, reference=0.75),
            *precision("LSIL", value=0.8, low=0.6, high=0.9, reference=0.75),
        ]
    )
    assert part.level is Level.BAD
    assert part.summary.endswith("for HSIL.")
    assert dict(part.facts)["LSIL"] == "80% right, between 60% and 90%"


def test_accuracy_is_good_where_bounds_allow_reference() -> None:
    part = parts.accuracy(precision("LSIL", value=0.5, low=0.1, high=0.75, reference=0.75))
    assert (part.level, "do not contradict" in part.summary) == (Level.GOOD, True)


def test_accuracy_without_reference_says_so() -> None:
    part = parts.accuracy(precision("LSIL", value=0.5, low=0.1, high=0.7))
    assert (part.level, "no precision of the validation" in part.summary) == (Level.GOOD, True)


def test_accuracy_is_unknown_without_verdicts_or_prometheus() -> None:
    for series in (None, []):
        assert parts.accuracy(series).level is Level.UNKNOWN


def test_model_shows_age_of_golden_cases() -> None:
    part = parts.model(MANIFEST, 7200.0, 0.00125)
    assert ("Golden cases reproduced", "2 hours ago") in part.facts
    assert part.level is Level.GOOD
    assert parts.model(None, None, None).level is Level.UNKNOWN


def test_model_wants_attention_without_recent_golden_cases() -> None:
    assert parts.model(MANIFEST, 86_401.0, 0.0).level is Level.WARNING


@pytest.mark.parametrize(
    ("results", "level", "minutes"),
    [
        (["failed", "agreed"], Level.GOOD, None),
        (["agreed", "failed"], Level.WARNING, 0),
        (["agreed", "failed", "failed"], Level.WARNING, 1),
        (["agreed", "failed", "disagreed", "failed"], Level.BAD, 2),
        (["failed", "failed", "failed"], Level.BAD, 2),
    ],
)
def test_probes_are_bad_after_three_failures(
    results: list[str], level: Level, minutes: int | None
) -> None:
    part = parts.probes(probes(*results))
    assert part.level is level
    assert part.since == (None if minutes is None else NOW - timedelta(minutes=minutes))


def test_probes_are_unknown_before_first_one() -> None:
    assert parts.probes(Probes(ProbeState(), [])).level is Level.UNKNOWN


@pytest.mark.parametrize(
    ("intact", "hours", "level"),
    [(True, 25, Level.GOOD), (True, 27, Level.WARNING), (False, 1, Level.BAD)],
)
def test_audit_trail_is_judged_by_last_verification(intact: bool, hours: int, level: Level) -> None:
    check = AuditCheck(at=NOW - timedelta(hours=hours), intact=intact, faults=2, rows=100)
    assert parts.audit(check, NOW).level is level
    assert parts.audit(None, NOW).level is Level.UNKNOWN


@pytest.mark.parametrize(("severity", "level"), [("page", Level.BAD), ("ticket", Level.WARNING)])
def test_firing_alert_shows_in_parts(severity: str, level: Level) -> None:
    alert = Alert(name="LesionserveShedding", severity=severity, started=NOW)
    part = parts.alerts([alert], ["LesionserveOther"], is_connected=True)
    assert (part.level, part.summary, part.since) == (level, "LesionserveShedding.", NOW)


def test_alerts_are_good_only_where_none_fires_and_they_arrive() -> None:
    assert parts.alerts([], [], is_connected=True).level is Level.GOOD
    assert parts.alerts([], [], is_connected=False).level is Level.UNKNOWN
    part = parts.alerts([], ["LesionserveProbeFailing"], is_connected=False)
    assert (part.level, part.summary) == (Level.WARNING, "Not sent yet: LesionserveProbeFailing.")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 seconds"), (1, "1 second"), (59, "59 seconds"), (60, "1 minute"), (7300, "2 hours")],
)
def test_duration_has_its_largest_unit(seconds: int, text: str) -> None:
    assert parts.duration(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("share", "left", "level", "text"),
    [
        (None, None, Level.UNKNOWN, "none yet"),
        (1.0, 1.0, Level.GOOD, "100 %"),
        (0.9989, 0.78, Level.GOOD, "78 %"),
        (0.9959, 0.18, Level.WARNING, "18 %"),
        (0.9, -19.0, Level.BAD, "used up"),
    ],
)
def test_objective_says_what_is_left_of_budget(
    share: float | None, left: float | None, level: Level, text: str
) -> None:
    objective = Objective("1 h", 100, share, left)
    assert (objective.level, objective.budget_percent) == (level, text)


def test_part_has_word_for_its_colour() -> None:
    assert Part("Model", Level.BAD, "").level.word == "Not working"
