"""The images of one examination, which count together as one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# An examination has ended when none of its images has come for so long.
PAUSE = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class ObservedImage:
    """An observation as the watch reads it. values: by group and name."""

    request_id: str
    at: datetime
    examination: str
    values: Mapping[str, Mapping[str, float]]


class Mean:
    """The mean of some numbers over those images that have them, shape (numbers,)."""

    def __init__(self, sums: Floats, counts: NDArray[np.int64]) -> None:
        self._sums, self._counts = sums, counts

    @classmethod
    def empty(cls, numbers: int) -> Self:
        return cls(np.zeros(numbers), np.zeros(numbers, dtype=np.int64))

    def add(self, values: Floats) -> None:
        """Add an image's numbers; NaN where it has none."""
        is_known = ~np.isnan(values)
        self._sums[is_known] += values[is_known]
        self._counts += is_known

    @property
    def value(self) -> Floats:
        """Return the means; NaN for a number that no image has."""
        means = np.full(len(self._sums), np.nan)
        np.divide(self._sums, self._counts, out=means, where=self._counts > 0)
        return means

    def to_json(self) -> list[list[float]]:
        return [self._sums.tolist(), self._counts.tolist()]

    @classmethod
    def from_json(cls, state: list[list[float]]) -> Self:
        sums, counts = state
        return cls(np.array(sums, dtype=np.float64), np.array(counts, dtype=np.int64))


class GroupValues:
    """What counts of a group's statistics, shape (statistics,); NaN for what no image has.

    first: the first value of each. A mean over the images would be distributed otherwise for many
    images than for few, so that more images of a patient would look like a change.
    p_values: their mean over the images; it is 0.5 for any number of images alike.
    """

    def __init__(self, first: Floats, p_values: Mean) -> None:
        self.first, self.p_values = first, p_values

    @classmethod
    def empty(cls, statistics: int) -> Self:
        return cls(np.full(statistics, np.nan), Mean.empty(statistics))

    def add(self, values: Floats, p_values: Floats) -> None:
        """Add an image's values and p-values; NaN where it has none."""
        self.first = np.where(np.isnan(self.first), values, self.first)
        self.p_values.add(p_values)

    def to_json(self) -> list[Any]:
        first = [None if np.isnan(value) else float(value) for value in self.first]
        return [first, self.p_values.to_json()]

    @classmethod
    def from_json(cls, state: list[Any]) -> Self:
        first, p_values = state
        return cls(np.array(first, dtype=np.float64), Mean.from_json(p_values))


@dataclass(slots=True)
class Examination:
    """An examination that may still go on. first: the request id of its first image."""

    first: str
    last_at: datetime
    groups: dict[str, GroupValues] = field(default_factory=dict)

    @property
    def ends_at(self) -> datetime:
        return self.last_at + PAUSE

    def to_json(self) -> dict[str, Any]:
        return {
            "first": self.first,
            "last_at": self.last_at.isoformat(),
            "groups": {name: values.to_json() for name, values in self.groups.items()},
        }

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Self:
        groups = {name: GroupValues.from_json(values) for name, values in state["groups"].items()}
        return cls(state["first"], datetime.fromisoformat(state["last_at"]), groups)
