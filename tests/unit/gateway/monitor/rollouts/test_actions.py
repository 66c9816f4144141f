import pytest

from gateway.audit.events import COMMAND
from gateway.audit.models import Event
from gateway.monitor.models import Rollout
from gateway.monitor.rollouts import actions
from gateway.monitor.rollouts.actions import RolloutError, Terms
from tests.clinics import organisation_named
from tests.unit.gateway.monitor.rollouts.examples import CANDIDATE, STABLE, served, started

pytestmark = pytest.mark.django_db


def told() -> list[tuple[str, str]]:
    """Return the actions and the actors of the events on rollouts."""
    events = Event.objects.filter(action__startswith="rollout.").order_by("pk")
    return list(events.values_list("action", "actor"))


def test_start_is_event_and_begins_waiting():
    rollout = started(percent=20)
    assert actions.running() == rollout
    assert (rollout.seen_at, rollout.evidence) == (None, {})
    assert told() == [("rollout.started", "command")]
    assert Event.objects.get().subject == f"rollout:{rollout.pk} cccccccccccc shadow 20 %"


def test_second_rollout_is_refused_and_no_event():
    started()
    with pytest.raises(RolloutError, match="runs already"):
        started()
    assert len(told()) == 1
    assert Rollout.objects.count() == 1


def test_begin_notes_both_models_once():
    rollout = actions.begin(started(), served(STABLE), served(CANDIDATE))
    assert (rollout.stable_sha256, rollout.stable_threshold) == (STABLE, 0.5)
    again = actions.begin(rollout, served("9" * 64), served(CANDIDATE))
    assert (again.stable_sha256, again.seen_at) == (STABLE, rollout.seen_at)


def test_promotion_is_decided_once_and_rollout_goes_on():
    started()
    rollout = actions.promote(by=COMMAND)
    assert told()[-1] == ("rollout.promoted", "command")
    assert actions.running() == rollout
    with pytest.raises(RolloutError, match="decided before"):
        actions.promote(by=COMMAND)
    assert actions.end(actions.running(), Rollout.State.PROMOTED)
    assert [action for action, _ in told()] == ["rollout.started", "rollout.promoted"]


def test_promotion_by_deploying_alone_is_event_of_gateway():
    actions.end(started(), Rollout.State.PROMOTED, "the stable application serves it")
    assert told()[-1] == ("rollout.promoted", "gateway")


def test_abort_ends_rollout_with_reason():
    started()
    actions.abort("a second opinion", by=COMMAND)
    rollout = Rollout.objects.get()
    assert (rollout.state, rollout.reason) == ("aborted", "a second opinion")
    assert rollout.ended_at is not None
    assert told()[-1] == ("rollout.aborted", "command")
    assert actions.running() is None
    started()


def test_rollout_ends_once():
    rollout = started()
    assert actions.end(rollout, Rollout.State.ROLLED_BACK, "errors")
    assert not actions.end(rollout, Rollout.State.PROMOTED)
    assert told()[1:] == [("rollout.rolled_back", "gateway")]


@pytest.mark.parametrize("act", [actions.promote, lambda by: actions.abort("", by=by)])
def test_nothing_can_be_decided_without_rollout(act):
    with pytest.raises(RolloutError, match="no rollout runs"):
        act(by=COMMAND)


def test_organisations_are_kept():
    clinic = organisation_named("a clinic")
    assert list(started(organisations=[clinic]).organisations.all()) == [clinic]


@pytest.mark.parametrize(
    "terms",
    [
        {"alpha": 0},
        {"max_disagreement": 1},
        {"max_errors": -0.1},
        {"max_slow": 2},
        {"slow_factor": 0.5},
        {"patience_s": 0},
    ],
    ids=str,
)
def test_terms_that_no_test_can_have_are_refused(terms):
    with pytest.raises(RolloutError, match=next(iter(terms))):
        Terms(**terms)
