import pytest

from gateway.monitor.models import Rollout
from gateway.monitor.rollouts.route import Route, route_of
from gateway.predict.forwarding import Sender
from tests.clinics import organisation_named
from tests.unit.gateway.monitor.rollouts.examples import CANDIDATE, STABLE, begun


def route(percent: int = 20, rollout: int = 1, organisations=frozenset()) -> Route:
    return Route(rollout, True, percent, organisations, CANDIDATE, STABLE, (0.5, 0.5), 2.0, 5.0)


SENDERS = [Sender(organisation % 3, f"examination {organisation}") for organisation in range(2000)]


def taken(route: Route) -> list[Sender]:
    return [sender for sender in SENDERS if route.takes(sender)]


def test_share_of_examinations_is_that_of_percent():
    assert 0.17 < len(taken(route(20))) / len(SENDERS) < 0.23
    assert len(taken(route(100))) == len(SENDERS)


def test_examination_stays_with_its_model():
    assert taken(route()) == taken(route())


def test_larger_percent_keeps_examinations():
    assert set(taken(route(20))) <= set(taken(route(40)))


def test_other_rollout_takes_other_examinations():
    both = set(taken(route(20, 1))) & set(taken(route(20, 2)))
    assert len(both) < 0.1 * len(SENDERS)


def test_only_named_organisations_take_part():
    assert {sender.organisation for sender in taken(route(100, 1, frozenset({1})))} == {1}


def test_probe_takes_no_part():
    assert not route(100).takes(Sender(1, "an examination", is_probe=True))


@pytest.mark.django_db
def test_route_is_that_of_row():
    clinic = organisation_named("a clinic")
    rollout = begun(Rollout.Mode.CANARY, 30, [clinic], patience_s=2)
    assert route_of(rollout) == Route(
        rollout.pk, True, 30, frozenset({clinic.pk}), CANDIDATE, STABLE, (0.5, 0.5), 2.0, 2.0
    )
