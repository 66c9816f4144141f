"""Rollouts through the gateway's sockets, before an ingress with two applications that is fake."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from gateway.audit.events import COMMAND
from gateway.audit.models import Event, Record
from gateway.monitor.models import Comparison, Rollout
from gateway.monitor.rollouts import actions, schedule
from gateway.monitor.rollouts.actions import Terms
from tests.integration.gateway.client import Gateway, form, jpeg, part
from tests.integration.gateway.ingress import FakeIngress, Sent, problem
from tests.integration.gateway.servers import running_gateway, serving
from tests.waiting import until

STABLE, CANDIDATE = "5" * 64, "c" * 64
FORM = form(part(jpeg()))

Answer = tuple[int, bytes]


def found(sent: Sent, digest: str, *scores: float) -> Answer:
    """Return the answer of this model, with a lesion of each score."""
    body = FakeIngress.predict(sent)
    (lesion,) = body["detections"]
    body["model"]["bundle_sha256"] = digest
    body["detections"] = [
        lesion | {"id": number, "score": score, "box": [20 * number, 2, 20 * number + 10, 12]}
        for number, score in enumerate(scores)
    ]
    body["metrics"] |= {
        "class_distribution": {"LSIL": 0, "HSIL": len(scores)},
        "scores": list(scores),
        "box_areas": [100.0] * len(scores),
    }
    return FakeIngress.json(body)


@dataclass
class Models:
    """What the two applications of the ingress answer."""

    stable: Callable[[Sent], Answer | Awaitable[Answer]]
    candidate: Callable[[Sent], Answer | Awaitable[Answer]]
    digests: dict[str, str]

    def __call__(self, sent: Sent) -> Any:
        application, path = "stable", sent.path
        if path.startswith("/candidate/"):
            application, path = "candidate", path.removeprefix("/candidate")
        if path == "/predict":
            return getattr(self, application)(sent)
        return FakeIngress.json(
            {
                "name": "fake",
                "version": "7",
                "digest": self.digests[application],
                "class_names": ["LSIL", "HSIL"],
                "score_threshold": 0.5,
            }
        )


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeIngress]:
    ingress = FakeIngress()
    with serving(ingress, lifespan="off") as ingress.port:
        yield ingress


def two_models() -> Models:
    return Models(
        lambda sent: found(sent, STABLE, 0.9),
        lambda sent: found(sent, CANDIDATE, 0.9),
        {"stable": STABLE, "candidate": CANDIDATE},
    )


@pytest.fixture(scope="module")
def quick(fake: FakeIngress, _ingress: FakeIngress, django_db_setup: None) -> Iterator[Gateway]:
    """A gateway that reads the rollout ten times a second."""
    # Where other tests have started one, a second gateway follows the same rollout: its ingress has
    # to have the same models, and what it asked for lately is used for a second.
    fake.answer = _ingress.answer = two_models()
    time.sleep(1.5)
    with (
        pytest.MonkeyPatch.context() as patch,
        running_gateway(UPSTREAM_URL=f"http://127.0.0.1:{fake.port}") as gateway,
    ):
        patch.setattr(schedule, "EVERY_S", 0.1)
        yield gateway


@pytest.fixture
def models(fake: FakeIngress, _ingress: FakeIngress, transactional_db: None) -> Models:
    fake.reset()
    fake.answer = _ingress.answer = two_models()
    return fake.answer


@dataclass
class Clinic:
    """A client that sends images of examinations, and gets an answer to each."""

    gateway: Gateway
    key: str
    sent: int = 0

    def ask(self, examination: str | None = None) -> str:
        """Send one image, of an examination of its own, and return the digest of its model."""
        self.sent += 1
        name = f"X-Examination-Id: {examination or f'e{self.sent}'}"
        response = self.gateway.predict(FORM, self.key, name)
        assert response.status == 200, response.body
        digest: str = response.json()["model"]["bundle_sha256"]
        return digest

    def ask_until_end(self, most: int) -> Rollout:
        """Send images until the rollout has ended; fail where it does not."""
        for _ in range(most):
            self.ask()
            if Rollout.objects.get().state != "running":
                break
        until(lambda: Rollout.objects.get().state != "running", within_s=30)
        return Rollout.objects.get()


@pytest.fixture
def clinic(quick: Gateway, models: Models, key: str) -> Clinic:
    return Clinic(quick, key)


def start(mode: str, percent: int = 100, **terms: float) -> None:
    actions.start(CANDIDATE, Rollout.Mode(mode), percent, [], Terms(**terms), by=COMMAND)
    until(lambda: Rollout.objects.get().seen_at is not None, within_s=30)


def routed(clinic: Clinic, digest: str) -> None:
    """Wait until this model answers: the gateway's own process has read the rollout."""
    until(lambda: clinic.ask() == digest, within_s=30)


def assert_one_record_each(clinic: Clinic) -> None:
    records = Record.objects.all()
    assert records.count() == clinic.sent
    assert {record.state for record in records} == {"succeeded"}
    call_command("verify_audit", stdout=StringIO())


def test_canary_is_sticky_by_examination(clinic):
    start("canary", 50, slow_factor=1000, max_slow=0.9)  # the test's machine may be slow
    routed(clinic, CANDIDATE)
    answers = {f"x{number}": {clinic.ask(f"x{number}") for _ in range(3)} for number in range(30)}
    assert {len(digests) for digests in answers.values()} == {1}
    assert set().union(*answers.values()) == {STABLE, CANDIDATE}
    assert_one_record_each(clinic)
    counts = [Record.objects.filter(bundle_sha256=digest).count() for digest in (STABLE, CANDIDATE)]
    assert sum(counts) == clinic.sent


def test_failing_canary_costs_no_answer_and_is_rolled_back(clinic, models):
    start("canary")
    routed(clinic, CANDIDATE)
    models.candidate = lambda sent: problem(sent, 503, "unavailable")
    rollout = clinic.ask_until_end(100)
    assert (rollout.state, rollout.reason.split(":")[0]) == ("rolled_back", "errors")
    assert clinic.ask() == STABLE
    assert Event.objects.get(action="rollout.rolled_back").actor == "gateway"
    assert_one_record_each(clinic)
    fallen_back = Record.objects.filter(attempts=2)
    assert {record.bundle_sha256 for record in fallen_back} == {STABLE}


@pytest.mark.parametrize("mode", ["shadow", "canary"])
def test_hanging_candidate_costs_no_answer_and_is_rolled_back(clinic, models, mode):
    async def hang(sent: Sent) -> Answer:
        await asyncio.sleep(1)
        return found(sent, CANDIDATE, 0.9)

    models.candidate = hang
    start(mode, patience_s=0.2)
    rollout = clinic.ask_until_end(100)
    assert (rollout.state, rollout.reason.split(":")[0]) == ("rolled_back", "errors")
    assert set(Comparison.objects.values_list("error_code", flat=True)) == {"deadline_exceeded"}
    assert_one_record_each(clinic)


def test_candidate_that_loses_one_lesion_in_twenty_is_rolled_back(clinic, models):
    count = 0

    def lose(sent: Sent) -> Answer:
        nonlocal count
        count += 1
        return found(sent, CANDIDATE) if count % 20 == 0 else found(sent, CANDIDATE, 0.9)

    models.candidate = lose
    start("shadow", max_disagreement=0.01, max_slow=0.9)
    rollout = clinic.ask_until_end(800)
    assert (rollout.state, rollout.reason.split(":")[0]) == ("rolled_back", "disagreement")
    assert set(Record.objects.values_list("bundle_sha256", flat=True)) == {STABLE}
    assert_one_record_each(clinic)


def test_candidate_within_rounding_stays_and_is_promoted(clinic, models):
    count = 0

    def round_otherwise(sent: Sent) -> Answer:
        nonlocal count
        count += 1
        # The second lesion is at the threshold, and every other time below it.
        return found(sent, CANDIDATE, 0.91, *([0.505] if count % 2 else []))

    models.stable = lambda sent: found(sent, STABLE, 0.9, 0.51)
    models.candidate = round_otherwise
    start("canary", 50, max_disagreement=0.01, max_slow=0.9)
    for _ in range(150):
        clinic.ask()
    until(lambda: Comparison.objects.count() > 30, within_s=30)
    assert Rollout.objects.get().state == "running"
    status = StringIO()
    call_command("rollout", "status", "--json", stdout=status)
    summary = json.loads(status.getvalue())
    assert (summary["lost"], summary["added"], summary["failed"]) == (0, 0, 0)
    assert summary["borderline"] > 0

    call_command("rollout", "promote", stderr=StringIO())
    assert clinic.ask() in (STABLE, CANDIDATE)
    # The bundle is deployed as the stable one, and the candidate is removed.
    models.stable = lambda sent: found(sent, CANDIDATE, 0.9)
    models.digests["stable"] = CANDIDATE
    models.candidate = lambda sent: problem(sent, 404, "not_found")
    rollout = clinic.ask_until_end(100)
    assert rollout.state == "promoted"
    assert clinic.ask() == CANDIDATE
    assert_one_record_each(clinic)
    actions_told = Event.objects.filter(action__startswith="rollout.").order_by("pk")
    assert [event.action for event in actions_told] == ["rollout.started", "rollout.promoted"]
