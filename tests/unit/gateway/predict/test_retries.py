import pytest
from prometheus_client import REGISTRY

from gateway.predict.retries import RetryBudget


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


def test_starts_with_ten_retries():
    assert take_all(RetryBudget()) == 10


# Not at 10 and 20: a tenth is not exact in binary.
@pytest.mark.parametrize(("requests", "retries"), [(0, 0), (9, 0), (11, 1), (19, 1), (21, 2)])
def test_ten_requests_earn_one_retry(requests: int, retries: int):
    budget = RetryBudget()
    take_all(budget)
    for _ in range(requests):
        budget.earn()
    assert take_all(budget) == retries


def test_saves_ten_retries_at_most():
    budget = RetryBudget()
    for _ in range(1000):
        budget.earn()
    assert take_all(budget) == 10


def test_counts_granted_and_refused_retries():
    granted, refused = counters()
    assert take_all(RetryBudget()) == 10
    assert counters() == (granted + 10, refused + 1)
