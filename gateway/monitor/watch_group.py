"""One group of statistics, compared with the validation images and with earlier examinations."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from gateway.betting import UniformTests
from gateway.monitor.reference import EarlierReference, ValidationReference

Floats = NDArray[np.float64]

Reference = Literal["validation", "earlier"]
REFERENCES: tuple[Reference, ...] = ("validation", "earlier")


class LowPoints:
    """When the wealth of each bet was lowest, and how low: what it won, it won after that.

    logs: shape (statistics, bets). at: the same shape, in seconds of Unix time.
    """

    def __init__(self, tests: UniformTests, began: datetime) -> None:
        self.logs = tests.logs.copy()
        self.at = np.full_like(tests.logs, began.timestamp())

    def note(self, tests: UniformTests, at: datetime) -> None:
        is_lower = tests.logs <= self.logs
        self.logs[is_lower] = tests.logs[is_lower]
        self.at[is_lower] = at.timestamp()

    def latest(self, logs: Floats, statistic: int, bets: slice) -> datetime:
        """Return the latest low point of the bets that have won most since theirs.

        A small bet loses so little while nothing changes that its low point may be long before.
        logs: shape (bets,), what each bet of the statistic has now.
        """
        won = logs[bets] - self.logs[statistic, bets]
        at = self.at[statistic, bets][won >= won.max() / 2].max()
        return datetime.fromtimestamp(at, UTC)


_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Change:
    """What changed most, in which direction, and since when."""

    statistic: str
    is_higher: bool
    since: datetime


def ties(text: str, count: int) -> Floats:
    """Return `count` numbers in [0, 1) that follow from the text, to split equal values.

    They are as good as random, and the same each time that a verdict is computed.
    """
    digest = hashlib.shake_128(text.encode()).digest(8 * count)
    whole = np.frombuffer(digest, dtype="<u8")
    return whole / 2.0**64


class GroupWatch:
    """The tests of one group. Its statistics are those of the first image that has the group."""

    def __init__(
        self,
        names: Sequence[str],
        validation: Mapping[str, ValidationReference | None],
        began: datetime,
    ) -> None:
        self.names = tuple(names)
        self._validation = [validation.get(name) for name in self.names]
        margins = [0.0 if known is None else known.margin for known in self._validation]
        self._tests = {
            "validation": UniformTests(np.array(margins)),
            "earlier": UniformTests(np.zeros(len(self.names))),
        }
        self._earlier = EarlierReference.empty(len(self.names))
        self._low_points = {name: LowPoints(tests, began) for name, tests in self._tests.items()}

    def values(self, statistics: Mapping[str, float]) -> Floats:
        """Return the statistics of an image in order, shape (statistics,); NaN for missing ones."""
        return np.array([statistics.get(name, np.nan) for name in self.names], dtype=np.float64)

    def p_values(self, values: Floats, ties: Floats) -> Floats:
        """Return an image's p-values among the validation images; NaN where there is no value."""
        return np.array(
            [
                np.nan if known is None or np.isnan(value) else known.p_value(float(value), tie)
                for known, value, tie in zip(self._validation, values, ties, strict=True)
            ]
        )

    def bet(self, first: Floats, mean_p_values: Floats, ties: Floats, at: datetime) -> None:
        """Bet on one examination: the first value of each statistic, and the mean of the p-values
        of all.

        at: of its last image.
        """
        self._tests["validation"].add(mean_p_values)
        self._tests["earlier"].add(self._earlier.add(first, ties))
        for reference, tests in self._tests.items():
            self._low_points[reference].note(tests, at)

    def evidence(self, reference: Reference) -> float:
        """Return the average wealth of the statistics."""
        return float(self._tests[reference].wealth.mean())

    def change(self, reference: Reference) -> Change:
        """Return what the evidence is of."""
        tests = self._tests[reference]
        row = int(tests.wealth.argmax())
        bets, is_higher = tests.winning_bets(row)
        since = self._low_points[reference].latest(tests.logs[row], row, bets)
        return Change(self.names[row], is_higher, since)

    def rearm(self, reference: Reference, at: datetime) -> None:
        """Begin anew: without evidence, and with what is now as the earlier examinations."""
        self._forget_evidence(reference, at)
        if reference == "earlier":
            self._earlier.counts[:] = 0

    def begin_year(self, at: datetime) -> None:
        """Begin without evidence, and with the same references."""
        for reference in REFERENCES:
            self._forget_evidence(reference, at)

    def _forget_evidence(self, reference: Reference, at: datetime) -> None:
        tests = self._tests[reference]
        tests.begin_anew()
        self._low_points[reference] = LowPoints(tests, at)

    def to_json(self) -> dict[str, Any]:
        """Return all that a later process needs to go on, as JSON can hold it."""
        return {
            "names": list(self.names),
            "logs": {name: tests.logs.tolist() for name, tests in self._tests.items()},
            "numbers": {name: tests.numbers.tolist() for name, tests in self._tests.items()},
            "counts": [_sparse(row) for row in self._earlier.counts],
            "low_points": {
                name: [low.logs.tolist(), low.at.tolist()] for name, low in self._low_points.items()
            },
        }

    @classmethod
    def from_json(
        cls, state: Mapping[str, Any], validation: Mapping[str, ValidationReference | None]
    ) -> Self:
        group = cls(state["names"], validation, _EPOCH)
        for reference in REFERENCES:
            tests = group._tests[reference]
            tests.logs[:] = state["logs"][reference]
            tests.numbers[:] = state["numbers"][reference]
            low = group._low_points[reference]
            low.logs[:], low.at[:] = state["low_points"][reference]
        for row, counts in enumerate(state["counts"]):
            for number, count in counts:
                group._earlier.counts[row, number] = count
        return group


def _sparse(counts: NDArray[np.int64]) -> list[list[int]]:
    return [[int(number), int(counts[number])] for number in np.flatnonzero(counts)]
