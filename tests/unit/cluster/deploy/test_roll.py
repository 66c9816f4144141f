"""Rolling over a cluster that is played by a script of states; tests/faults has a real one."""

import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from cluster.deploy.errors import Exit
from cluster.deploy.plan import Plan, read_plan
from cluster.deploy.roll import Roll
from cluster.deploy.serve_client import Application, Deployment, ServeDetails
from cluster.errors import StackError
from serve_app.paths import ROOT

LOCAL = ROOT / "configs/serve/local.yaml"
DEMO = ROOT / "weights/demo"
BEFORE = {"name": "lesionserve", "args": {"deployment": "before", "model": {"bundle_sha256": "b"}}}
OLD = {"old 1": "RUNNING", "old 2": "RUNNING"}

State = Application | Exception | Callable[[], Application]


@pytest.fixture(scope="module")
def plan() -> Plan:
    return read_plan(LOCAL, DEMO, stop_first=False)


def application(
    config: Mapping[str, Any], status: str, replicas: Mapping[str, str], message: str = ""
) -> Application:
    stage = Deployment(status="HEALTHY", message="", replicas=replicas)
    return Application(status, message, config, {"LesionService": stage})


@dataclass
class Cluster:
    """Shows the next state at each reading, and the last one from then on."""

    states: list[State]
    digests: list[str | None]
    put_error: Exception | None = None
    puts: list[Mapping[str, Any]] = field(default_factory=list)

    def read(self) -> ServeDetails:
        state = self.states[0] if len(self.states) == 1 else self.states.pop(0)
        if isinstance(state, Exception):
            raise state
        shown = state if isinstance(state, Application) else state()
        return ServeDetails({}, {"lesionserve": shown})

    def put(self, config: Mapping[str, Any]) -> None:
        if self.put_error is not None:
            raise self.put_error
        self.puts.append(config)

    def manifest(self, name: str) -> Mapping[str, Any] | None:
        assert name == "lesionserve"
        digest = self.digests[0] if len(self.digests) == 1 else self.digests.pop(0)
        return None if digest is None else {"digest": digest, "name": "m", "version": "1"}


BEFORE_RUNS = application(BEFORE, "RUNNING", OLD)


def roll(
    plan: Plan,
    states: list[State],
    digests: list[str | None],
    before: Application | None = BEFORE_RUNS,
    within_s: float = 0.05,
) -> tuple[Cluster, list[str]]:
    cluster, lines = Cluster(states, digests), []
    Roll(plan, before, cluster, within_s, lines.append, poll_s=0).run()
    return cluster, lines


def failed_roll(*arguments: Any, **options: Any) -> StackError:
    with pytest.raises(StackError) as caught:
        roll(*arguments, **options)
    assert len(str(caught.value)) < 1000
    return caught.value


def new(plan: Plan, status: str, replicas: Mapping[str, str], message: str = "") -> Application:
    return application(plan.document["applications"][0], status, replicas, message)


def test_roll_waits_for_last_old_replica(plan):
    """Ray calls an application RUNNING that scales while it rolls."""
    states = [
        BEFORE_RUNS,
        new(plan, "RUNNING", OLD),
        new(plan, "RUNNING", OLD | {"new": "RUNNING"}),
        new(plan, "RUNNING", {"old 1": "STOPPING", "new": "STARTING"}),
        new(plan, "DEPLOYING", {"new": "RUNNING"}),
        new(plan, "RUNNING", {"old 1": "STOPPING", "new": "RUNNING"}),
    ]
    cluster, lines = roll(plan, states, [plan.manifest.digest], within_s=60)
    assert (len(cluster.states), len(cluster.puts)) == (1, 1)
    assert lines[-1] == f"serves: {plan.model}"
    assert "rolling: LesionService 1 new, 2 old" in lines


def test_roll_survives_dashboard_that_is_away(plan):
    states = [ConnectionError("away"), new(plan, "RUNNING", {"new": "RUNNING"})]
    _, lines = roll(plan, states, [plan.manifest.digest], before=None, within_s=60)
    assert lines[-1].startswith("serves: ")


def test_roll_asks_busy_service_again(plan):
    states = [new(plan, "RUNNING", {"new": "RUNNING"})]
    _, lines = roll(plan, states, [None, None, plan.manifest.digest], within_s=60)
    assert lines[-1].startswith("serves: ")


def test_roll_that_still_scales_at_time_limit_succeeds(plan):
    states = [new(plan, "DEPLOYING", {"new": "RUNNING", "another": "PENDING"})]
    _, lines = roll(plan, states, [plan.manifest.digest])
    assert lines[-1].startswith("serves: ")


@pytest.mark.parametrize(
    ("status", "digests", "reason"),
    [
        ("DEPLOY_FAILED", ["b"], "model.pth is damaged"),
        ("RUNNING", ["c", "b"], "it answers from m 1 (c)"),
    ],
    ids=["fails", "another bundle answers"],
)
def test_failed_roll_goes_back_until_new_replicas_left(plan, status, digests, reason):
    failed = new(plan, status, {"new": "RUNNING"}, "model.pth is damaged")
    states = [
        failed,
        failed,
        application(BEFORE, "RUNNING", OLD | {"new": "RUNNING"}),
        BEFORE_RUNS,
    ]
    cluster = Cluster(states, digests)
    with pytest.raises(StackError, match="the version before serves") as caught:
        Roll(plan, BEFORE_RUNS, cluster, 60, lambda _: None, poll_s=0).run()
    assert caught.value.exit_status == Exit.ROLLED_BACK
    assert reason in str(caught.value)
    assert cluster.puts[-1]["applications"] == [BEFORE]
    assert len(cluster.states) == 1


def test_roll_that_takes_too_long_goes_back(plan):
    cluster = Cluster([new(plan, "DEPLOYING", OLD | {"new": "STARTING"})], ["b"])
    cluster.put = _show_before_after_second(cluster)
    with pytest.raises(StackError, match="not healthy within") as caught:
        Roll(plan, BEFORE_RUNS, cluster, 0.05, lambda _: None, poll_s=0).run()
    assert caught.value.exit_status == Exit.ROLLED_BACK


def _show_before_after_second(cluster: Cluster) -> Callable[[Mapping[str, Any]], None]:
    def put(config: Mapping[str, Any]) -> None:
        cluster.puts.append(config)
        if len(cluster.puts) == 2:
            cluster.states = [BEFORE_RUNS]

    return put


def test_version_before_must_answer_after_going_back(plan):
    states = [new(plan, "DEPLOY_FAILED", {}), new(plan, "DEPLOY_FAILED", {}), BEFORE_RUNS]
    error = failed_roll(plan, states, ["another"])
    assert error.exit_status == Exit.NOT_ROLLED_BACK
    assert "rolling back failed: it answers from m 1 (another)" in str(error)


def test_refused_configuration_goes_back(plan):
    cluster = Cluster([BEFORE_RUNS], ["b"])
    cluster.put = _refuse_first(cluster)
    with pytest.raises(StackError, match="Ray Serve refused it: no such key") as caught:
        Roll(plan, BEFORE_RUNS, cluster, 60, lambda _: None, poll_s=0).run()
    assert caught.value.exit_status == Exit.ROLLED_BACK


def _refuse_first(cluster: Cluster) -> Callable[[Mapping[str, Any]], None]:
    def put(config: Mapping[str, Any]) -> None:
        cluster.puts.append(config)
        if len(cluster.puts) == 1:
            raise RuntimeError("status 400\nno such key")

    return put


@pytest.mark.parametrize("going_back", [False, True])
def test_roll_leaves_deployment_of_somebody_else_alone(plan, going_back):
    theirs = application({"args": {"deployment": "theirs"}}, "DEPLOYING", OLD)
    failed = [new(plan, "DEPLOY_FAILED", {})] * 2 if going_back else []
    cluster = Cluster([*failed, theirs], ["b"])
    with pytest.raises(StackError, match=r"another deployment \(theirs\)") as caught:
        Roll(plan, BEFORE_RUNS, cluster, 60, lambda _: None, poll_s=0).run()
    assert caught.value.exit_status == Exit.NOT_ROLLED_BACK
    assert len(cluster.puts) == 1 + going_back


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        (None, "no version was deployed before"),
        (replace(BEFORE_RUNS, status="DEPLOY_FAILED"), "Now m 1 (b) answers"),
        (replace(BEFORE_RUNS, status="DEPLOYING"), "Now m 1 (b) answers"),
    ],
    ids=["first", "before failed", "before had not ended"],
)
def test_failed_roll_without_way_back_says_what_serves(plan, before, reason):
    error = failed_roll(plan, [new(plan, "DEPLOY_FAILED", {}, "no")], ["b"], before)
    assert error.exit_status == Exit.NOT_ROLLED_BACK
    assert reason in str(error)


@pytest.fixture
def handlers() -> Iterator[None]:
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    former = {signum: signal.getsignal(signum) for signum in signals}
    yield
    assert {signum: signal.getsignal(signum) for signum in signals} == former


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_goes_back_and_further_signals_change_nothing(plan, signum):
    def interrupted(shown: Application) -> Callable[[], Application]:
        # Its handler is called, not sent for: tests/faults sends it to the command.
        return lambda: (signal.getsignal(signum)(signum, None), shown)[1]

    states = [
        interrupted(new(plan, "DEPLOYING", OLD | {"new": "RUNNING"})),
        new(plan, "DEPLOYING", OLD | {"new": "RUNNING"}),
        interrupted(application(BEFORE, "DEPLOYING", OLD | {"new": "STOPPING"})),
        interrupted(BEFORE_RUNS),
    ]
    error = failed_roll(plan, states, ["b"], within_s=60)
    assert error.exit_status == Exit.ROLLED_BACK
    assert str(error).endswith("interrupted")
