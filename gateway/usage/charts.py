from dataclasses import dataclass
from math import ceil

from gateway.audit.models import SCORE_BINS
from gateway.usage.summary import Counts, Summary

_BAR, _HEIGHT, _GAP = 28, 120, 6


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a chart. `x`, `y` and `height` are pixels of the chart."""

    label: str
    count: int
    x: int
    y: int
    height: int


@dataclass(frozen=True, slots=True)
class Chart:
    title: str
    bars: list[Bar]

    @property
    def width(self) -> int:
        return max(1, len(self.bars)) * (_BAR + _GAP)


def charts(summary: Summary) -> list[Chart]:
    scores = {f"{number / SCORE_BINS:.1f}": count for number, count in enumerate(summary.scores)}
    return [
        _chart("Requests by day", {f"{day.day:%d.%m.}": day.requests for day in summary.days}),
        _chart("Outcomes", summary.outcomes),
        _chart("Callers", _named(summary)),
        _chart("Lesions by class", summary.classes),
        _chart("Scores, from", scores),
        _chart("Image types", summary.image_types),
        _chart("Image sizes", summary.image_sizes),
        _chart("Model versions", summary.model_versions),
    ]


def _named(summary: Summary) -> Counts:
    names = summary.caller_names
    return {
        f"{names[caller]} ({caller})" if caller in names else caller: count
        for caller, count in summary.callers.items()
    }


def _chart(title: str, counts: Counts) -> Chart:
    most = max(counts.values(), default=0) or 1
    bars = []
    for number, (label, count) in enumerate(counts.items()):
        height = ceil(count / most * _HEIGHT)
        bars.append(Bar(label, count, number * (_BAR + _GAP), _HEIGHT - height, height))
    return Chart(title, bars)
