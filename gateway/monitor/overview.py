"""What the operations page shows, as plain values: the view fills it, the template draws it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import floor

from gateway.monitor.level import Level
from gateway.monitor.plots import Plot
from gateway.monitor.watch_cards import WatchCard

_WORST_FIRST = (Level.BAD, Level.WARNING, Level.UNKNOWN, Level.GOOD)


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the service: how it is, in a sentence, since when, and what to do.

    facts: further values, by their names.
    """

    name: str
    level: Level
    summary: str
    since: datetime | None = None
    remedy: str = ""
    facts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Objective:
    """How much of an objective is left over a window.

    succeeded: the share of the valid requests that succeeded, or None without any. budget_left:
    the share of the allowed failures that is left, below 0 where the objective is missed.
    """

    window: str
    valid: int
    succeeded: float | None
    budget_left: float | None

    @property
    def level(self) -> Level:
        if self.budget_left is None:
            return Level.UNKNOWN
        if self.budget_left < 0:
            return Level.BAD
        return Level.WARNING if self.budget_left < _LOW else Level.GOOD

    @property
    def succeeded_percent(self) -> str:
        return percent(self.succeeded)

    @property
    def budget_percent(self) -> str:
        is_spent = self.budget_left is not None and self.budget_left <= 0
        return "used up" if is_spent else percent(self.budget_left)

    @property
    def width(self) -> int:
        """Return the width of the bar, in percent."""
        return round(100 * min(1.0, max(0.0, self.budget_left or 0.0)))


_LOW = 0.25  # of the budget


def percent(share: float | None) -> str:
    """Return a share as text, rounded down: 99.99 % is not all of it."""
    return "none yet" if share is None else f"{floor(share * 10_000) / 100:g} %"


@dataclass(frozen=True, slots=True)
class ProbeCell:
    """One probe in the strip of the latest ones."""

    at: datetime
    level: Level
    summary: str


@dataclass(frozen=True, slots=True)
class AlertLine:
    """One alert, firing or resolved. severity: page or ticket."""

    name: str
    severity: str
    summary: str
    began: datetime
    resolved: datetime | None
    runbook: str


@dataclass(frozen=True, slots=True)
class Change:
    """Something that changed lately: a deployment, a key, a person."""

    at: datetime
    what: str
    by: str


@dataclass(frozen=True, slots=True)
class Overview:
    """The whole page. watched: whether probes run here or alerts arrive."""

    at: datetime
    watched: bool
    parts: Sequence[Part]
    objectives: Sequence[Objective]
    objective: float
    traffic: Plot
    latency: Plot
    probes: Sequence[ProbeCell]
    firing: Sequence[AlertLine]
    past_alerts: Sequence[AlertLine]
    changes: Sequence[Change]
    watches: Sequence[WatchCard]

    @property
    def level(self) -> Level:
        """Return the state of the service: the worst of its parts."""
        levels = {part.level for part in self.parts}
        known = [level for level in _WORST_FIRST if level in levels and level is not Level.UNKNOWN]
        return known[0] if known else Level.UNKNOWN

    @property
    def troubles(self) -> list[Part]:
        """Return the parts that are not well, the worst first."""
        troubles = [part for part in self.parts if part.level in (Level.BAD, Level.WARNING)]
        return sorted(troubles, key=lambda part: _WORST_FIRST.index(part.level))

    @property
    def since(self) -> datetime | None:
        """Return when the first of the worst troubles began, as far as it is known."""
        worst = [part for part in self.troubles if part.level is self.level]
        return min((part.since for part in worst if part.since), default=None)

    @property
    def objective_percent(self) -> str:
        return percent(self.objective)

    @property
    def headline(self) -> str:
        if self.level is Level.GOOD and not self.watched:
            return "Images are answered, but nothing watches them"
        return _HEADLINES[self.level]


_HEADLINES = {
    Level.GOOD: "Everything works",
    Level.WARNING: "Images are answered, but something needs attention",
    Level.BAD: "Images are not answered as they should be",
    Level.UNKNOWN: "The state is not known",
}
