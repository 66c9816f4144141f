import httpx
import pytest

from gateway.audit.events import COMMAND
from gateway.database import in_database
from gateway.monitor.models import ReferenceProfile, Rollout
from gateway.monitor.rollouts import actions
from gateway.monitor.rollouts.forwarder import RolloutForwarder
from gateway.monitor.rollouts.schedule import RolloutSchedule
from gateway.predict.upstream import Upstream
from tests.unit.gateway.metric_values import value
from tests.unit.gateway.monitor.rollouts.examples import CANDIDATE, STABLE, started
from tests.unit.gateway.predict.wire import Wire

pytestmark = pytest.mark.django_db(transaction=True)


class Applications:
    """What the two applications say of their models; None: nothing."""

    def __init__(self, stable: str | None = STABLE, candidate: str | None = CANDIDATE) -> None:
        self.digests = {"stable": stable, "candidate": candidate}
        upstreams = [self._upstream(name) for name in self.digests]
        self.forwarder = RolloutForwarder(*upstreams, 30)
        self.schedule = RolloutSchedule(self.forwarder, *upstreams)

    async def step(self) -> Rollout:
        await self.schedule.step()
        return await in_database(Rollout.objects.first)

    def _upstream(self, name: str) -> Upstream:
        def handler(request: httpx.Request) -> httpx.Response:
            digest = self.digests[name]
            if request.url.path == "/profile" and name == "candidate":
                return httpx.Response(200, json={"bundle_sha256": digest, "profile": None})
            assert request.url.path in ("/model", "/readyz")
            if digest is None:
                return httpx.Response(404)
            model = {"name": "m", "version": "1", "digest": digest, "score_threshold": 0.5}
            return httpx.Response(200, json=model | {"class_names": []})

        client = httpx.AsyncClient(base_url=f"http://{name}", transport=Wire(handler))
        return Upstream(client, 30)


async def test_nothing_is_routed_without_rollout():
    applications = Applications()
    assert await applications.step() is None
    assert applications.forwarder.route is None
    assert value("rollout_running") == 0


async def test_rollout_is_routed_once_both_models_answer():
    await in_database(started)
    applications = Applications(candidate=None)
    assert (await applications.step()).seen_at is None
    assert applications.forwarder.route is None
    applications.digests["candidate"] = "9" * 64
    assert (await applications.step()).seen_at is None, "another candidate is no candidate"
    applications.digests["candidate"] = CANDIDATE
    rollout = await applications.step()
    assert rollout.seen_at is not None
    assert applications.forwarder.route is not None
    assert applications.forwarder.route.thresholds == (0.5, 0.5)
    assert value("rollout_running") == 1


async def test_profile_of_candidate_is_read_so_that_its_images_are_watched():
    await in_database(started)
    applications = Applications()
    await applications.step()
    profile = await in_database(ReferenceProfile.objects.get)
    assert profile.bundle_sha256 == CANDIDATE


async def test_abort_by_person_ends_routing():
    await in_database(started)
    applications = Applications()
    await applications.step()
    await in_database(lambda: actions.abort("", by=COMMAND))
    await applications.step()
    assert applications.forwarder.route is None


async def test_decided_promotion_is_done_when_stable_serves_candidate():
    await in_database(started)
    applications = Applications()
    await applications.step()
    await in_database(lambda: actions.promote(by=COMMAND))
    assert (await applications.step()).state == "running"
    assert applications.forwarder.route is not None
    applications.digests["stable"] = CANDIDATE
    assert (await applications.step()).state == "promoted"
    assert applications.forwarder.route is None


async def test_rollout_of_the_model_that_serves_already_is_no_promotion():
    await in_database(started)
    applications = Applications()
    applications.digests["stable"] = CANDIDATE
    rollout = await applications.step()
    assert (rollout.state, "serves this bundle already" in rollout.reason) == ("aborted", True)


async def test_other_stable_model_aborts_rollout():
    await in_database(started)
    applications = Applications()
    await applications.step()
    applications.digests["stable"] = "9" * 64
    rollout = await applications.step()
    assert (rollout.state, "replaced by 999999999999" in rollout.reason) == ("aborted", True)
    assert applications.forwarder.route is None


async def test_silent_applications_change_nothing():
    await in_database(started)
    applications = Applications()
    await applications.step()
    applications.digests.update(stable=None, candidate=None)
    assert (await applications.step()).state == "running"
    assert applications.forwarder.route is not None
