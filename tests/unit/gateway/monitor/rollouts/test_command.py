import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from gateway.monitor.models import Rollout
from gateway.monitor.rollouts.outcomes import record_outcome
from tests.clinics import organisation_named
from tests.unit.gateway.monitor.rollouts.examples import (
    CANDIDATE,
    begun,
    comparison,
    outcome,
    started,
)

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> tuple[str, str]:
    """Return what the command prints to stdout and to stderr."""
    outputs = StringIO(), StringIO()
    call_command("rollout", *arguments, stdout=outputs[0], stderr=outputs[1])
    return outputs[0].getvalue(), outputs[1].getvalue()


def test_start_takes_terms_and_organisations():
    clinic = organisation_named("a clinic")
    _, said = run(
        *("start", CANDIDATE, "--mode", "canary", "--percent", "20", "--organisation", "a clinic"),
        *("--max-disagreement", "0.1", "--patience-s", "2"),
    )
    assert "cccccccccccc" in said
    rollout = Rollout.objects.get()
    assert (rollout.mode, rollout.percent) == ("canary", 20)
    assert (rollout.max_disagreement, rollout.patience_s, rollout.alpha) == (0.1, 2, 0.01)
    assert list(rollout.organisations.all()) == [clinic]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["start", "models/v2", "--mode", "shadow"], "64 hexadecimal digits"),
        (["start", CANDIDATE, "--mode", "shadow", "--percent", "0"], "from 1 to 100"),
        (["start", CANDIDATE, "--mode", "shadow", "--organisation", "x"], "the name x"),
        (["start", CANDIDATE, "--mode", "shadow", "--alpha", "1"], "alpha is a share"),
        (["promote"], "no rollout runs"),
        (["abort"], "no rollout runs"),
        (["status"], "no rollout"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_wrong_use_changes_nothing(arguments, reason):
    with pytest.raises(CommandError, match=reason):
        run(*arguments)
    assert not Rollout.objects.exists()


def test_status_tells_what_was_compared():
    rollout = begun()
    record_outcome(rollout.pk, outcome(comparison(agreed=2, lost=1)))
    record_outcome(rollout.pk, outcome(error_code="unavailable"))
    text, _ = run("status")
    assert "shadow of 100 % of the examinations of all organisations: running" in text
    assert "2 images of 2 examinations, 1 failed" in text
    assert "lesions: 2 agree, 0 within rounding, 1 lost, 0 added, 0 reclassified" in text
    assert "images on which the candidate fails: 50.00% of 2, accepted 1.00%" in text
    summary = json.loads(run("status", "--json")[0])
    assert (summary["candidate_sha256"], summary["images"], summary["lost"]) == (CANDIDATE, 2, 1)
    assert [test["values"] for test in summary["tests"]] == [1, 2, 1]


@pytest.mark.parametrize(
    ("prepare", "state"),
    [
        (lambda: None, "waiting until both applications answer"),
        (lambda: run("promote"), "to be promoted"),
        (lambda: run("abort", "--reason", "a second opinion"), "aborted\nreason: a second opinion"),
    ],
    ids=["started", "promoted", "aborted"],
)
def test_status_tells_state(prepare, state):
    started()
    prepare()
    assert state in run("status")[0]
