import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter


@dataclass(frozen=True, slots=True)
class Spread:
    """A median with its quartiles."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high)

    def __str__(self) -> str:
        return f"{self.median:.3g} ({self.low:.3g} to {self.high:.3g})"


def alternate(
    contenders: Mapping[str, Callable[[], object]], rounds: int, warm_up: int = 1
) -> dict[str, list[float]]:
    """Return seconds per run of each, in rounds through all: a slow moment hits them alike."""
    for run in contenders.values():
        for _ in range(warm_up):
            run()
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            started = perf_counter()
            run()
            seconds[name].append(perf_counter() - started)
    return seconds


def ratio(numerator: Sequence[float], denominator: Sequence[float]) -> Spread:
    """Return the spread of each round's own ratio."""
    return Spread.of([a / b for a, b in zip(numerator, denominator, strict=True)])


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the percentile of at least two values."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
