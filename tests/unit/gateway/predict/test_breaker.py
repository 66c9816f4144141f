import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from gateway.errors import UpstreamCertificateInvalid, UpstreamDisconnected
from gateway.predict import breaker as module
from gateway.predict.breaker import Breaker
from pipeline.errors import BadRequest, DeadlineExceeded, LesionserveError, Overloaded, Unavailable

LOST = (UpstreamDisconnected, UpstreamCertificateInvalid, DeadlineExceeded, Unavailable)
EVENT = "circuit to the inference service"


class Clock:
    """The monotonic clock, moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "monotonic", clock)
    monkeypatch.setattr(module, "logger", module.structlog.get_logger())
    return clock


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker()


def fail(breaker: Breaker, error: type[BaseException] = UpstreamDisconnected) -> None:
    with pytest.raises(error), breaker():
        raise error("x")


def open_(breaker: Breaker) -> None:
    for _ in range(8):
        fail(breaker)


def is_open(breaker: Breaker) -> bool:
    try:
        with breaker():
            return False
    except Unavailable:
        return True


def gauge() -> float | None:
    return REGISTRY.get_sample_value("lesionserve_gateway_circuit_open")


@pytest.mark.parametrize("error", LOST)
def test_opens_after_eight_consecutive_losses(breaker: Breaker, error: type[LesionserveError]):
    for _ in range(8):
        fail(breaker, error)
    assert is_open(breaker)


def test_stays_closed_after_seven_losses(breaker: Breaker):
    for _ in range(7):
        fail(breaker)
    assert not is_open(breaker)


def test_open_circuit_says_that_service_cannot_be_reached(breaker: Breaker):
    open_(breaker)
    with (
        pytest.raises(Unavailable, match=r"^The inference service cannot be reached\.$"),
        breaker(),
    ):
        pass


@pytest.mark.parametrize("error", [None, BadRequest])
def test_answer_resets_count_of_losses(breaker: Breaker, error: type[LesionserveError] | None):
    for _ in range(7):
        fail(breaker)
    if error is None:
        with breaker():
            pass
    else:
        fail(breaker, error)
    for _ in range(7):
        fail(breaker)
    assert not is_open(breaker)


@pytest.mark.parametrize("error", [Overloaded, KeyboardInterrupt, GeneratorExit])
def test_request_without_outcome_leaves_failure_count_unchanged(
    breaker: Breaker, error: type[BaseException]
):
    for _ in range(7):
        fail(breaker)
    fail(breaker, error)
    fail(breaker)
    assert is_open(breaker)


def test_lets_trial_request_through_after_five_seconds(breaker: Breaker, clock: Clock):
    open_(breaker)
    clock.now += 4.99
    assert is_open(breaker)
    clock.now = 105.0
    assert not is_open(breaker)


def test_lets_one_trial_request_through_at_a_time(breaker: Breaker, clock: Clock):
    open_(breaker)
    clock.now += 5
    with breaker():
        assert is_open(breaker)
    assert not is_open(breaker)


def test_closes_after_answered_trial_request(breaker: Breaker, clock: Clock):
    open_(breaker)
    clock.now += 5
    with breaker():
        pass
    assert gauge() == 0
    clock.now = 100.0
    for _ in range(7):
        fail(breaker)
    assert not is_open(breaker)


def test_waits_again_after_lost_trial_request(breaker: Breaker, clock: Clock):
    open_(breaker)
    clock.now += 5
    fail(breaker)
    clock.now += 4.99
    assert is_open(breaker)
    clock.now += 0.01
    assert not is_open(breaker)


@pytest.mark.parametrize("error", [Overloaded, KeyboardInterrupt])
def test_lets_next_request_through_after_trial_without_outcome(
    breaker: Breaker, clock: Clock, error: type[BaseException]
):
    open_(breaker)
    clock.now += 5
    fail(breaker, error)
    assert not is_open(breaker)


def test_gauge_and_log_show_each_change_once(breaker: Breaker, clock: Clock):
    with breaker():
        pass
    with capture_logs() as lines:
        for _ in range(7):
            fail(breaker)
        assert lines == []
        fail(breaker)
        assert gauge() == 1
        clock.now += 5
        fail(breaker)
        assert lines == [{"event": EVENT, "state": "open", "log_level": "warning"}]
        clock.now += 5
        with breaker():
            pass
        assert gauge() == 0
        with breaker():
            pass
    assert lines[1:] == [{"event": EVENT, "state": "closed", "log_level": "warning"}]
