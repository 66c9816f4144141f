"""What the operations page shows of the watch of the model."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from gateway.monitor.level import Level
from gateway.monitor.models import ServedModel, WatchAlarm, WatchState
from gateway.monitor.watch import GROUPS
from gateway.monitor.watch_words import GROUP_NAMES, REFERENCE_NAMES, moved_median, number, sentence
from gateway.people.models import Organisation

_NEWEST = 20  # watches beside those with an alarm


@dataclass(frozen=True, slots=True)
class Range:
    """The range of a statistic in its reference, and its median now, as a strip to look at.

    The places are in percent of the strip's width. text: the same in words.
    """

    low: float
    width: float
    median: float
    now: float
    text: str

    @classmethod
    def of(cls, alarm: WatchAlarm) -> "Range | None":
        if (moved := moved_median(alarm)) is None:
            return None
        low, median, high, now = moved
        first, last = min(low, now), max(high, now)
        margin = 0.05 * (last - first)

        def place(value: float) -> float:
            return round(100 * (value - first + margin) / (last - first + 2 * margin), 1)

        return cls(
            low=place(low),
            width=round(place(high) - place(low), 1),
            median=place(median),
            now=place(now),
            text=(
                f"{alarm.statistic}: {number(low)} to {number(high)} for nine images of ten, "
                f"median {number(median)}; now {number(now)}"
            ),
        )


@dataclass(frozen=True, slots=True)
class AlarmCard:
    """An alarm that nobody has acknowledged."""

    id: int
    group: str
    reference: str
    sentence: str
    since: datetime
    at: datetime
    examples: tuple[str, ...]
    range: Range | None


@dataclass(frozen=True, slots=True)
class GroupLine:
    """A group of statistics: whether it is like its references."""

    name: str
    level: Level
    text: str


@dataclass(frozen=True, slots=True)
class WatchCard:
    """The watch of one model in one organisation."""

    organisation: str
    model: str
    examinations: int
    alpha: str
    until: datetime
    groups: tuple[GroupLine, ...]
    alarms: tuple[AlarmCard, ...]


def watch_cards(organisation: Organisation | None, *, sees_all: bool) -> list[WatchCard]:
    """Return the watches, those advanced last first; blocking.

    Unless `sees_all`, those of the organisation alone.
    """
    states = WatchState.objects.select_related("organisation").order_by("-until", "-pk")
    if not sees_all:
        states = states.filter(organisation=organisation)
    alarms: dict[tuple[int, str], list[WatchAlarm]] = defaultdict(list)
    for alarm in WatchAlarm.objects.filter(acknowledged_at=None):
        alarms[alarm.organisation_id, alarm.bundle_sha256].append(alarm)
    cards = [
        _card(state, alarms[state.organisation_id, state.bundle_sha256])
        for number, state in enumerate(states)
        if number < _NEWEST or (state.organisation_id, state.bundle_sha256) in alarms
    ]
    return sorted(cards, key=lambda card: not card.alarms)


def _card(state: WatchState, alarms: list[WatchAlarm]) -> WatchCard:
    served = ServedModel.objects.filter(bundle_sha256=state.bundle_sha256).first()
    name = "" if served is None else f"{served.name} {served.version}"
    return WatchCard(
        organisation=str(state.organisation),
        model=name or state.bundle_sha256[:12],
        examinations=state.state.get("examinations", 0),
        alpha=f"{state.alpha:g}",
        until=state.until,
        groups=tuple(_line(group, state, alarms) for group in GROUPS),
        alarms=tuple(_alarm(alarm) for alarm in alarms),
    )


def _line(group: str, state: WatchState, alarms: list[WatchAlarm]) -> GroupLine:
    references = sorted({alarm.reference for alarm in alarms if alarm.group == group})
    if references:
        text = " and ".join(REFERENCE_NAMES[reference] for reference in references)
        return GroupLine(GROUP_NAMES[group], Level.WARNING, f"unlike {text}")
    if group not in state.state.get("groups", {}):
        return GroupLine(GROUP_NAMES[group], Level.UNKNOWN, "nothing observed yet")
    return GroupLine(GROUP_NAMES[group], Level.GOOD, "no change found")


def _alarm(alarm: WatchAlarm) -> AlarmCard:
    return AlarmCard(
        id=alarm.pk,
        group=GROUP_NAMES.get(alarm.group, alarm.group),
        reference=REFERENCE_NAMES[alarm.reference],
        sentence=sentence(alarm),
        since=alarm.since,
        at=alarm.at,
        examples=tuple(alarm.examples),
        range=Range.of(alarm),
    )
