"""The forwarder before two applications that are functions of this test."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256

import httpx
import pytest

from gateway.database import in_database
from gateway.monitor.models import Comparison, Rollout
from gateway.monitor.rollouts import mirror as mirror_module
from gateway.monitor.rollouts import patience, schedule
from gateway.monitor.rollouts.forwarder import RolloutForwarder
from gateway.monitor.rollouts.route import Route, route_of
from gateway.predict.forwarding import Forwarded, Sender
from gateway.predict.image_request import ImageRequest
from gateway.predict.retries import RetryBudget
from gateway.predict.upstream import Upstream
from pipeline.errors import BrokenImage, LesionserveError
from pipeline.image.inspect import Header
from pipeline.schemas import PredictOptions, Problem
from tests.integration.gateway.client import jpeg
from tests.integration.gateway.ingress import prediction
from tests.unit.gateway.metric_values import changes
from tests.unit.gateway.monitor.rollouts.examples import CANDIDATE, STABLE, begun
from tests.unit.gateway.predict.wire import Wire

pytestmark = pytest.mark.django_db(transaction=True)

IMAGE = jpeg()
SENDER = Sender(1, "e" * 32)
ID = "00000000-0000-0000-0000-000000000001"

Answer = Callable[[httpx.Request], httpx.Response]


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the rollouts from a gateway of other tests in this process, which would end them."""
    monkeypatch.setattr(schedule, "running", lambda: None)


def answering(digest: str, *, has_lesion: bool = True) -> Answer:
    def answer(request: httpx.Request) -> httpx.Response:
        options = PredictOptions.model_validate_strings(dict(request.url.params))
        body = prediction(request.headers["x-request-id"], IMAGE, options)
        body["model"]["bundle_sha256"] = digest
        if not has_lesion:
            body["detections"] = []
            body["metrics"] = {
                "class_distribution": {"LSIL": 0, "HSIL": 0},
                "scores": [],
                "box_areas": [],
            }
        return httpx.Response(200, json=body)

    return answer


def refusing(status: int, code: str) -> Answer:
    def answer(request: httpx.Request) -> httpx.Response:
        problem = Problem(title="t", status=status, detail="d", code=code, request_id=ID)
        return httpx.Response(status, text=problem.model_dump_json())

    return answer


STABLE_ANSWERS, CANDIDATE_ANSWERS = answering(STABLE), answering(CANDIDATE)


async def hang(request: httpx.Request) -> httpx.Response:
    await asyncio.Event().wait()
    raise AssertionError("the caller has given up")


@dataclass
class Applications:
    """The stable application and the candidate, and how often each was asked."""

    stable: Answer = STABLE_ANSWERS
    candidate: Answer = CANDIDATE_ANSWERS
    asked: list[str] = field(default_factory=list)
    attempts: int = 0

    def forwarder(self, deadline_s: float = 30) -> RolloutForwarder:
        return RolloutForwarder(self._upstream("stable"), self._upstream("candidate"), deadline_s)

    def _upstream(self, name: str) -> Upstream:
        async def handler(request: httpx.Request) -> httpx.Response:
            self.asked.append(name)
            response = getattr(self, name)(request)
            return await response if asyncio.iscoroutine(response) else response

        client = httpx.AsyncClient(base_url=f"http://{name}", transport=Wire(handler))
        return Upstream(client, 30, RetryBudget(lambda: 0.0))

    def attempt(self) -> None:
        self.attempts += 1


def request() -> ImageRequest:
    return ImageRequest(
        IMAGE, sha256(IMAGE).hexdigest(), Header("JPEG", 64, 48), PredictOptions(), ID
    )


async def route(mode: Rollout.Mode, **changes: object) -> Route:
    rollout = await in_database(begun, mode)
    return replace(await in_database(route_of, rollout), **changes)


@asynccontextmanager
async def comparing(forwarder: RolloutForwarder) -> AsyncIterator[None]:
    """Run the queue; at the end, all that was put into it has been compared."""
    work = asyncio.create_task(forwarder.mirror.run())
    yield
    await asyncio.wait_for(forwarder.mirror.drained(), 60)
    work.cancel()
    await asyncio.wait([work])


async def ask(
    applications: Applications, forwarder: RolloutForwarder, score_threshold: float | None = None
) -> Forwarded:
    """Send one image, and tell the forwarder that its client has the answer."""
    sent = replace(request(), options=PredictOptions(score_threshold=score_threshold))
    forwarded = await forwarder.predict(sent, SENDER, applications.attempt)
    forwarder.answered(sent, SENDER, forwarded)
    return forwarded


async def rows() -> list[Comparison]:
    return await in_database(lambda: list(Comparison.objects.all()))


async def state() -> str:
    return (await in_database(Rollout.objects.get)).state


async def test_without_rollout_stable_model_alone_is_asked():
    applications = Applications()
    forwarder = applications.forwarder()
    async with comparing(forwarder):
        forwarded = await ask(applications, forwarder)
    assert forwarded.prediction.model.bundle_sha256 == STABLE
    assert applications.asked == ["stable"]
    assert await rows() == []


async def test_shadow_answers_from_stable_model_and_compares():
    applications = Applications()
    forwarder = applications.forwarder()
    forwarder.route = await route(Rollout.Mode.SHADOW)
    async with comparing(forwarder):
        forwarded = await ask(applications, forwarder)
        assert applications.asked == ["stable"], "the client is answered first"
    assert forwarded.prediction.model.bundle_sha256 == STABLE
    assert applications.asked == ["stable", "candidate"]
    (row,) = await rows()
    assert (str(row.request_id), row.agreed, row.disagreement) == (ID, 1, 0)
    assert row.examination == SENDER.examination


async def test_candidate_gets_same_image_and_threshold_in_shadow():
    seen: list[httpx.Request] = []
    applications = Applications()
    applications.candidate = lambda sent: (seen.append(sent), answering(CANDIDATE)(sent))[1]
    forwarder = applications.forwarder()
    forwarder.route = await route(Rollout.Mode.SHADOW)
    async with comparing(forwarder):
        await ask(applications, forwarder, score_threshold=0.7)
    (sent,) = seen
    assert sent.content == IMAGE
    assert dict(sent.url.params) == {
        "masks": "none",
        "visualization": "none",
        "score_threshold": "0.7",
    }
    assert sent.headers["x-request-id"] == ID


@pytest.mark.parametrize(
    ("candidate", "code"),
    [
        (refusing(503, "unavailable"), "unavailable"),
        (refusing(422, "broken_image"), "broken_image"),
        (hang, "deadline_exceeded"),
        (answering("9" * 64), "other_model"),
        (lambda request: httpx.Response(200, text="{}"), "upstream_fault"),
    ],
    ids=["fails", "refuses", "hangs", "is another", "answers nonsense"],
)
async def test_failing_shadow_changes_no_answer_and_is_counted(candidate, code):
    applications = Applications(candidate=candidate)
    forwarder = applications.forwarder()
    forwarder.route = await route(Rollout.Mode.SHADOW, patience_s=0.1)
    with changes() as changed:
        async with comparing(forwarder):
            forwarded = await ask(applications, forwarder)
    assert changed["rollout_images_total failed"] == 1
    assert forwarded.prediction.model.bundle_sha256 == STABLE
    (row,) = await rows()
    assert (row.error_code, row.disagreement) == (code, None)


async def test_canary_answers_and_stable_model_is_compared():
    applications = Applications()
    forwarder = applications.forwarder()
    forwarder.route = await route(Rollout.Mode.CANARY)
    async with comparing(forwarder):
        forwarded = await ask(applications, forwarder)
        assert applications.asked == ["candidate"]
    assert forwarded.prediction.model.bundle_sha256 == CANDIDATE
    assert applications.asked == ["candidate", "stable"]
    assert applications.attempts == 1
    (row,) = await rows()
    assert (row.agreed, row.error_code) == (1, "")


@pytest.mark.parametrize(
    ("candidate", "code"),
    [
        (refusing(503, "unavailable"), "unavailable"),
        (hang, "deadline_exceeded"),
        (answering("9" * 64), "upstream_fault"),
    ],
    ids=["fails", "hangs", "is another"],
)
async def test_stable_model_answers_where_canary_fails(candidate, code):
    applications = Applications(candidate=candidate)
    forwarder = applications.forwarder()
    forwarder.route = await route(Rollout.Mode.CANARY, patience_s=0.1)
    async with comparing(forwarder):
        forwarded = await ask(applications, forwarder)
    assert forwarded.prediction.model.bundle_sha256 == STABLE
    assert forwarded.candidate_error == code
    assert applications.asked == ["candidate", "stable"]
    assert applications.attempts == 2
    (row,) = await rows()
    assert row.error_code == code


async def test_late_canary_loses_this_client_and_the_next(monkeypatch):
    monkeypatch.setattr(patience, "NOTICED_S", 0.0)
    applications = Applications(candidate=hang)
    forwarder = applications.forwarder()
    for _ in range(50):
        forwarder._patience.observe(0.001)
    forwarder.route = await route(Rollout.Mode.CANARY, patience_s=0.3)
    async with comparing(forwarder):
        forwarded = await ask(applications, forwarder)
        assert applications.asked == ["candidate", "stable"]
        again = await ask(applications, forwarder)
        assert applications.asked == ["candidate", "stable", "stable"], "no client waits again"
    assert forwarded.prediction.model.bundle_sha256 == STABLE
    assert again.prediction.model.bundle_sha256 == STABLE
    assert forwarded.candidate_error == ""
    assert [row.error_code for row in await rows()] == ["deadline_exceeded"] * 2


async def test_candidate_gets_clients_back_after_answers_in_time(monkeypatch):
    monkeypatch.setattr(patience, "OWED", 2)
    applications = Applications(candidate=refusing(503, "unavailable"))
    forwarder = applications.forwarder()
    forwarder.route = await route(Rollout.Mode.CANARY)
    async with comparing(forwarder):
        await ask(applications, forwarder)
    applications.candidate = CANDIDATE_ANSWERS
    answered_by = []
    for _ in range(3):
        async with comparing(forwarder):
            forwarded = await ask(applications, forwarder)
        answered_by.append(forwarded.prediction.model.bundle_sha256)
    assert answered_by == [STABLE, STABLE, CANDIDATE]


async def test_image_that_both_models_refuse_costs_the_candidate_nothing():
    refused = refusing(422, "broken_image")
    applications = Applications(stable=refused, candidate=refused)
    forwarder = applications.forwarder()
    forwarder.route = await route(Rollout.Mode.CANARY)
    with pytest.raises(BrokenImage):
        await forwarder.predict(request(), SENDER, applications.attempt)
    applications.candidate = CANDIDATE_ANSWERS
    forwarded = await forwarder.predict(request(), SENDER, applications.attempt)
    assert forwarded.prediction.model.bundle_sha256 == CANDIDATE


async def test_image_that_stable_model_refuses_too_counts_for_nothing():
    refused = refusing(422, "broken_image")
    applications = Applications(stable=refused, candidate=refused)
    forwarder = applications.forwarder()
    forwarder.route = await route(Rollout.Mode.CANARY)
    async with comparing(forwarder):
        with pytest.raises(BrokenImage):
            await forwarder.predict(request(), SENDER, applications.attempt)
    assert await rows() == []


async def test_hanging_canary_leaves_stable_model_half_of_deadline():
    applications = Applications(stable=hang, candidate=hang)
    forwarder = applications.forwarder(deadline_s=0.4)
    forwarder.route = await route(Rollout.Mode.CANARY, patience_s=60)
    begun_at = asyncio.get_running_loop().time()
    with pytest.raises(LesionserveError):
        await forwarder.predict(request(), SENDER, applications.attempt)
    assert 0.35 < asyncio.get_running_loop().time() - begun_at < 20
    assert applications.asked == ["candidate", "stable"]


async def test_image_of_other_stable_model_is_not_compared():
    applications = Applications(stable=answering("9" * 64))
    forwarder = applications.forwarder()
    forwarder.route = await route(Rollout.Mode.SHADOW)
    async with comparing(forwarder):
        await ask(applications, forwarder)
    assert applications.asked == ["stable"]
    assert await rows() == []


async def test_failure_after_promotion_counts_for_nothing():
    applications = Applications(stable=answering(CANDIDATE), candidate=refusing(404, "not_found"))
    forwarder = applications.forwarder()
    forwarder.route = await route(Rollout.Mode.CANARY)
    async with comparing(forwarder):
        forwarded = await ask(applications, forwarder)
    assert forwarded.candidate_error
    assert await rows() == []


async def test_rollback_stops_routing_at_once():
    applications = Applications(candidate=answering(CANDIDATE, has_lesion=False))
    forwarder = applications.forwarder()
    forwarder.route = await route(Rollout.Mode.CANARY)
    for number in range(20):
        async with comparing(forwarder):
            sender = replace(SENDER, examination=f"{number}")
            forwarded = await forwarder.predict(request(), sender, applications.attempt)
            forwarder.answered(request(), sender, forwarded)
        if forwarder.route is None:
            break
    assert forwarder.route is None
    assert await state() == "rolled_back"
    assert (await ask(applications, forwarder)).prediction.model.bundle_sha256 == STABLE


async def test_full_queue_drops_and_delays_nothing(monkeypatch):
    monkeypatch.setattr(mirror_module, "_IN_FLIGHT", 1)
    applications = Applications()
    forwarder = applications.forwarder()
    forwarder.route = await route(Rollout.Mode.SHADOW)
    # Nothing takes from the queue.
    with changes() as changed:
        for _ in range(mirror_module._WAITING + 2):
            await ask(applications, forwarder)
    assert changed["rollout_images_total dropped"] == 2
    assert applications.asked == ["stable"] * (mirror_module._WAITING + 2)
    async with comparing(forwarder):
        pass
    assert len(await rows()) == mirror_module._WAITING


async def test_images_in_queue_hold_bounded_memory(monkeypatch):
    monkeypatch.setattr(mirror_module, "_WAITING_BYTES", 2 * len(IMAGE) + 1)
    applications = Applications()
    forwarder = applications.forwarder()
    forwarder.route = await route(Rollout.Mode.SHADOW)
    with changes() as changed:
        for _ in range(3):
            await ask(applications, forwarder)
    assert changed["rollout_images_total dropped"] == 1
    async with comparing(forwarder):
        pass
    with changes() as changed:
        await ask(applications, forwarder)
    assert "rollout_images_total dropped" not in changed


async def test_hanging_canary_is_found_though_its_clients_leave():
    async def hang(sent: httpx.Request) -> httpx.Response:
        await asyncio.sleep(60)
        raise AssertionError("nobody waits so long")

    applications = Applications()
    applications.candidate = hang
    forwarder = applications.forwarder()
    forwarder.route = await route(Rollout.Mode.CANARY, percent=100, patience_s=0.2)
    client = asyncio.create_task(forwarder.predict(request(), SENDER, applications.attempt))
    await asyncio.sleep(0.05)
    async with comparing(forwarder):
        client.cancel()
        await asyncio.wait([client])
        assert client.cancelled()
    (row,) = await rows()
    assert (str(row.request_id), row.error_code) == (ID, "deadline_exceeded")


async def test_picture_does_not_wait_for_the_comparison():
    applications = Applications()
    forwarder = applications.forwarder()
    forwarder.route = await route(Rollout.Mode.SHADOW)
    forwarded = await ask(applications, forwarder)
    assert forwarded.prediction.visualization is not None
    job = forwarder.mirror._jobs.get_nowait()
    assert job.forwarded is not None
    assert job.forwarded.prediction.visualization is None


async def test_rollback_is_counted_once_by_two_gateways():
    applications = Applications()
    applications.candidate = refusing(503, "unavailable")
    shadow = await route(Rollout.Mode.SHADOW)

    async def ask_once(forwarder: RolloutForwarder) -> None:
        forwarder.route = shadow  # as before a look at the database
        async with comparing(forwarder):
            await ask(applications, forwarder)

    one, other = applications.forwarder(), applications.forwarder()
    with changes() as changed:
        for _ in range(60):
            await ask_once(one)
            if await state() != "running":
                break
        await ask_once(other)
        await ask_once(one)
    assert await state() == "rolled_back"
    assert changed["rollout_ended_total rolled_back"] == 1
