import pytest
from prometheus_client import REGISTRY

from gateway.predict.retries import RetryBudget


class Clock:
    """A clock that stands still until the test moves it."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def budget(clock: Clock) -> RetryBudget:
    return RetryBudget(clock)


def counters() -> tuple[float, float]:
    """Return how many retries were granted and refused in this process."""
    names = ("lesionserve_gateway_retries_total", "lesionserve_gateway_retries_over_budget_total")
    granted, refused = (REGISTRY.get_sample_value(name) or 0 for name in names)
    return granted, refused


def take_all(budget: RetryBudget) -> int:
    """Take all retries of the budget, and return how many there were."""
    count = 0
    while budget.take():
        count += 1
    return count


def test_starts_with_ten_retries(budget: RetryBudget):
    assert take_all(budget) == 10


# Not at 10 and 20: a tenth is not exact in binary.
@pytest.mark.parametrize(("requests", "retries"), [(0, 0), (9, 0), (11, 1), (19, 1), (21, 2)])
def test_ten_requests_earn_one_retry(budget: RetryBudget, requests: int, retries: int):
    take_all(budget)
    for _ in range(requests):
        budget.earn()
    assert take_all(budget) == retries


@pytest.mark.parametrize(("seconds", "retries"), [(0.05, 0), (0.11, 1), (0.51, 5), (60, 10)])
def test_second_earns_ten_retries(budget: RetryBudget, clock: Clock, seconds: float, retries: int):
    take_all(budget)
    clock.now += seconds
    assert take_all(budget) == retries
    assert take_all(budget) == 0


def test_saves_ten_retries_at_most(budget: RetryBudget):
    for _ in range(1000):
        budget.earn()
    assert take_all(budget) == 10


def test_counts_granted_and_refused_retries(budget: RetryBudget):
    granted, refused = counters()
    assert take_all(budget) == 10
    assert counters() == (granted + 10, refused + 1)
