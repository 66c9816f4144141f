"""Whether a candidate is worse than was accepted, by sequential tests that may be looked at always.

Each test bets on every new value against "the mean is at most the limit". Where all three hold,
the chance that one of them ever rejects is at most alpha (Ville's inequality, and a union bound).
"""

from collections.abc import Mapping
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict

from gateway.betting import MeanTest

TestName = Literal["disagreement", "errors", "slow"]
TESTS: tuple[TestName, ...] = get_args(TestName)


class TestState(BaseModel):
    """What is kept of one test: its values so far, in sum, and the logarithms of its wealth."""

    model_config = ConfigDict(extra="forbid")

    count: int = 0
    sum: float = 0.0
    logs: list[float] | None = None

    @property
    def mean(self) -> float | None:
        return self.sum / self.count if self.count else None


class Evidence:
    """The tests of one rollout. `state` is all that a later process needs to go on."""

    def __init__(
        self, limits: Mapping[TestName, float], alpha: float, state: Mapping[str, object]
    ) -> None:
        self._alpha = alpha
        self.limits = dict(limits)
        self.tests = {name: TestState.model_validate(state.get(name, {})) for name in TESTS}

    def add(self, name: TestName, value: float) -> None:
        """Bet on the next value of a test, in [0, 1]."""
        test = self.tests[name]
        bets = MeanTest(self.limits[name], test.logs)
        bets.add(value)
        test.count, test.sum, test.logs = test.count + 1, test.sum + value, bets.logs

    def wealth(self, name: TestName) -> float:
        """Return the evidence against the test's hypothesis, 1 at the start."""
        return MeanTest(self.limits[name], self.tests[name].logs).wealth

    @property
    def needed(self) -> float:
        """Return the wealth at which a test rejects."""
        return len(TESTS) / self._alpha

    def rejected(self) -> TestName | None:
        """Return the test that has rejected, or None."""
        return next((name for name in TESTS if self.wealth(name) >= self.needed), None)

    @property
    def state(self) -> dict[str, dict[str, object]]:
        return {name: test.model_dump() for name, test in self.tests.items()}
