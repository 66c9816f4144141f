"""The watch of a model: has what an organisation sends, or what the model finds, changed?

Each group of statistics is compared with two references: the validation images of the model's
bundle, and the organisation's own earlier examinations. Every examination is one bet against the
hypothesis that nothing has changed; a group's evidence is the average wealth of its statistics, and
an alarm is raised where it reaches the threshold that alpha sets. So the chance of any false alarm
in a year is at most alpha, however often one looks.

All depends on the observations alone, never on the clock or on chance, so that a verdict can be
computed again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from gateway.examination import window_before
from gateway.monitor.profile import Profile
from gateway.monitor.reference import ValidationReference
from gateway.monitor.watch_examination import Examination, GroupValues, ObservedImage
from gateway.monitor.watch_group import REFERENCES, GroupWatch, Reference, ties

# The groups of pipeline.observation, each with a test for each reference.
GROUPS = ("quality", "input", "detections", "scores", "classes", "areas", "embedding")

YEAR = timedelta(days=365)
_FORMAT = 1  # of the state as JSON

# So long the images of an examination that has ended do not begin another one.
_ENDED_FOR = timedelta(days=1)

# Of alpha, the part that is left for validation images that are by chance unlike all others.
_FOR_THE_REFERENCE = 0.1
# Each statistic of a profile has an equal share of that part; there are at least so many shares.
_FEWEST_STATISTICS = 50


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Somebody has seen an alarm, so that its test begins anew."""

    at: datetime
    group: str
    reference: Reference


@dataclass(frozen=True, slots=True)
class RaisedAlarm:
    """A verdict: a group is unlike its reference.

    at: the end of the examination with which the evidence reached the threshold. since: the last
    image before the evidence began to rise. statistic, is_higher: what changed most, and how.
    """

    group: str
    reference: Reference
    at: datetime
    since: datetime
    evidence: float
    statistic: str
    is_higher: bool


class Watch:
    """The watch of one model in one organisation.

    alpha: the chance of a false alarm in a year. A model without a profile is compared with the
    earlier examinations alone.
    """

    def __init__(self, profile: Profile | None, alpha: float) -> None:
        per_image = {} if profile is None else profile.per_image
        count = sum(len(statistics) for statistics in per_image.values())
        chance = alpha * _FOR_THE_REFERENCE / max(count, _FEWEST_STATISTICS)
        self._validation = {
            group: {
                name: ValidationReference.of(distribution, chance)
                for name, distribution in statistics.items()
            }
            for group, statistics in per_image.items()
        }
        self.threshold = len(GROUPS) * len(REFERENCES) / (alpha * (1 - _FOR_THE_REFERENCE))
        self.examinations = 0
        self._groups: dict[str, GroupWatch] = {}
        self._open: dict[str, Examination] = {}
        self._ended: dict[str, datetime] = {}
        self._raised: set[tuple[str, Reference]] = set()
        self._armed_at: datetime | None = None

    def advance(
        self,
        images: Iterable[ObservedImage],
        until: datetime,
        acknowledged: Sequence[Acknowledgement] = (),
    ) -> list[RaisedAlarm]:
        """Take the next images, none after `until`, in the order of their times and request ids.

        acknowledged: those since the last call, and before `until`, in the order of their times.
        Return the alarms that were raised, in order.
        """
        alarms: list[RaisedAlarm] = []
        seen = list(acknowledged)
        for image in images:
            self._pass(image.at, seen, alarms)
            self._add(image)
        self._pass(until, seen, alarms)
        return alarms

    def evidence(self) -> dict[str, dict[Reference, float]]:
        """Return the evidence of each group that has a value, by reference."""
        return {
            name: {reference: group.evidence(reference) for reference in REFERENCES}
            for name, group in self._groups.items()
        }

    def _pass(
        self, until: datetime, seen: list[Acknowledgement], alarms: list[RaisedAlarm]
    ) -> None:
        """Do what falls due until then: ends of examinations, acknowledgements, a new year."""
        due = sorted((open_.ends_at, key) for key, open_ in self._open.items())
        for at, key in due:
            if at > until:
                break
            self._acknowledge(at, seen)
            self._ended[key] = at
            self._end(self._open.pop(key), at, alarms)
        self._acknowledge(until, seen)

    def _acknowledge(self, until: datetime, seen: list[Acknowledgement]) -> None:
        while seen and seen[0].at <= until:
            acknowledgement = seen.pop(0)
            test = (acknowledgement.group, acknowledgement.reference)
            if test in self._raised:
                self._raised.remove(test)
                group = self._groups[acknowledgement.group]
                group.rearm(acknowledgement.reference, acknowledgement.at)

    def _add(self, image: ObservedImage) -> None:
        examination = self._examination(image)
        if examination is None:
            return
        examination.last_at = image.at
        for name in GROUPS:
            statistics = image.values.get(name)
            if not statistics:
                continue
            group = self._group(name, statistics, image.at)
            values = group.values(statistics)
            p_values = group.p_values(values, ties(f"{image.request_id} {name}", len(values)))
            counted = examination.groups.setdefault(name, GroupValues.empty(len(values)))
            counted.add(values, p_values)

    def _examination(self, image: ObservedImage) -> Examination | None:
        """Return the image's examination; None where that has counted already.

        A window that follows one that counts may go on with its examination, and does not count.
        """
        key = image.examination
        if key not in self._open:
            self._forget_ended(image.at)
            before = window_before(key)
            if key in self._ended or before in self._open or before in self._ended:
                return None
            self._open[key] = Examination(image.request_id, image.at)
        return self._open[key]

    def _forget_ended(self, at: datetime) -> None:
        self._ended = {key: end for key, end in self._ended.items() if end > at - _ENDED_FOR}

    def _group(self, name: str, statistics: Mapping[str, float], at: datetime) -> GroupWatch:
        if name not in self._groups:
            validation = self._validation.get(name, {})
            self._groups[name] = GroupWatch(sorted(statistics), validation, at)
        return self._groups[name]

    def _end(self, examination: Examination, at: datetime, alarms: list[RaisedAlarm]) -> None:
        self._begin_year(examination.last_at)
        self.examinations += 1
        for name, counted in examination.groups.items():
            group = self._groups[name]
            splits = ties(f"{examination.first} {name} earlier", len(group.names))
            group.bet(counted.first, counted.p_values.value, splits, examination.last_at)
            for reference in REFERENCES:
                evidence = group.evidence(reference)
                if evidence < self.threshold or (name, reference) in self._raised:
                    continue
                self._raised.add((name, reference))
                change = group.change(reference)
                alarms.append(
                    RaisedAlarm(
                        group=name,
                        reference=reference,
                        at=at,
                        since=change.since,
                        evidence=evidence,
                        statistic=change.statistic,
                        is_higher=change.is_higher,
                    )
                )

    def _begin_year(self, at: datetime) -> None:
        if self._armed_at is not None and at < self._armed_at + YEAR:
            return
        self._armed_at = at
        for group in self._groups.values():
            group.begin_year(at)

    def to_json(self) -> dict[str, Any]:
        """Return all that a later process needs to go on, as JSON can hold it."""
        return {
            "format": _FORMAT,
            "examinations": self.examinations,
            "armed_at": self._armed_at and self._armed_at.isoformat(),
            "groups": {name: group.to_json() for name, group in self._groups.items()},
            "raised": sorted(map(list, self._raised)),
            "open": {key: open_.to_json() for key, open_ in self._open.items()},
            "ended": {key: end.isoformat() for key, end in self._ended.items()},
        }

    @classmethod
    def from_json(cls, state: Mapping[str, Any], profile: Profile | None, alpha: float) -> Self:
        watch = cls(profile, alpha)
        if not state:
            return watch
        if state.get("format") != _FORMAT:
            raise ValueError("the state of the watch is of another version")
        watch.examinations = state["examinations"]
        watch._armed_at = state["armed_at"] and datetime.fromisoformat(state["armed_at"])
        for name, group in state["groups"].items():
            watch._groups[name] = GroupWatch.from_json(group, watch._validation.get(name, {}))
        watch._raised = {(name, reference) for name, reference in state["raised"]}
        watch._open = {key: Examination.from_json(open_) for key, open_ in state["open"].items()}
        watch._ended = {key: datetime.fromisoformat(end) for key, end in state["ended"].items()}
        return watch
