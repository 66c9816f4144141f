"""Bring in one fault after the other; find which alert arrives, when, and when it resolves."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.drill.clinic import Clinic, send
from tests.faults.drill.monitor import Monitor
from tests.faults.drill.scaled import SCALE
from tests.faults.drill.stack import REPLICAS, DrillStack
from tests.faults.drill.webhook import Webhook
from tests.waiting import until

# Beyond what the rule needs: two busy cores, on which processes start in seconds, or in a minute.
_ALLOWANCE_S = 120.0
_QUIET_WITHIN_S = 240.0
_WELL_WITHIN_S = 240.0
_WATCHED_S = 12.0  # until every metric of Ray has two samples
# An evaluation sends it, and Alertmanager groups it.
_SENDS_S = 2.0


@dataclass(frozen=True)
class Time:
    """State how long an alert takes: the waits of its rule, divided by SCALE, and the rest.

    rule: windows, `for` and the wait for a group, as they are in production. stack: the seconds
    until the metric shows it.
    """

    rule_s: float
    stack_s: float

    @property
    def stated_s(self) -> float:
        return self.rule_s / SCALE + self.stack_s + _SENDS_S

    @property
    def bound_s(self) -> float:
        return self.stated_s + _ALLOWANCE_S


@dataclass(frozen=True)
class Drill:
    """Hold the running stack, and the Prometheus and the webhook that watch one group of faults.

    log: a file, to which is added what was sent.
    """

    stack: DrillStack
    clinic: Clinic
    monitor: Monitor
    webhook: Webhook
    log: Path

    def write_log(self, faults: Sequence["Fault"], began: float) -> None:
        """Add to the log what was sent since then, a line each."""
        lines = [
            f"{notice.at - began:7.1f} s  {'fires' if notice.is_firing else 'ends '}  {notice}"
            for notice in self.webhook.since(began)
        ]
        names = ", ".join(fault.name for fault in faults)
        answers = f"answers to the clinic: {self.clinic.take_statuses()}"
        with self.log.open("a") as file:
            print(names, *lines, answers, sep="\n", end="\n\n", file=file)


@dataclass(frozen=True)
class Fault:
    """Describe a fault, and the alert that has to arrive.

    brought: a block at whose start the fault is there, and at whose end it is repaired.
    consequences: other pages that the fault causes, by their names, with the reason. needs_disk:
    root alone can mount one.
    """

    name: str
    alert: str
    brought: Callable[[Drill], AbstractContextManager[None]]
    arrives: Time
    resolves: Time
    severity: str = "page"
    consequences: dict[str, str] = field(default_factory=dict)
    needs_disk: bool = False


@dataclass(frozen=True)
class Row:
    """The result for one fault. others: the other pages that came, all of them consequences."""

    fault: Fault
    arrived_s: float
    resolved_s: float
    others: list[str]


def exercise(drill: Drill, faults: Sequence[Fault]) -> list[Row]:
    """Bring the faults in, wait for their alerts, repair them, and wait until no page is left.

    Return a row for each fault. Raise AssertionError where an alert does not arrive or resolve in
    time, where another page arrives, or where images are not answered afterwards.
    """
    wait_until_well(drill)
    began = time.monotonic()
    try:
        with ExitStack() as broken:
            for fault in faults:
                broken.enter_context(fault.brought(drill))
            arrived = [_wait(drill, f, began, is_firing=True, bound=f.arrives) for f in faults]
            repaired = time.monotonic()
        resolved = [
            _wait(drill, fault, at, is_firing=False, bound=fault.resolves)
            for fault, at in zip(faults, arrived, strict=True)
        ]
        wait_for_quiet(drill)
    finally:
        drill.write_log(faults, began)
    others = _other_pages(drill, faults, began)
    assert send(drill.stack.up) == 200
    return [
        Row(fault, begins - began, ends - repaired, others)
        for fault, begins, ends in zip(faults, arrived, resolved, strict=True)
    ]


def _other_pages(drill: Drill, faults: Sequence[Fault], since: float) -> list[str]:
    """Return the names of the pages that are consequences. Raise AssertionError for any other."""
    alerts = {fault.alert for fault in faults}
    consequences = {name for fault in faults for name in fault.consequences}
    pages = [notice for notice in drill.webhook.since(since) if notice.is_page]
    others = [notice for notice in pages if notice.name not in alerts]
    unexplained = [str(notice) for notice in others if notice.name not in consequences]
    assert not unexplained, f"{faults[0].name}: other pages fired, too: {unexplained}"
    return sorted({notice.name for notice in others})


def wait_until_well(drill: Drill) -> None:
    """Wait until all replicas are ready, images are answered, and no page is near."""
    until(lambda: len(drill.stack.replicas()) == REPLICAS, _WELL_WITHIN_S)
    until(lambda: send(drill.stack.up) == 200, _WELL_WITHIN_S)
    time.sleep(_WATCHED_S)
    wait_for_quiet(drill)
    drill.clinic.take_statuses()


def wait_for_quiet(drill: Drill) -> None:
    """Wait until no page fires or is pending."""
    ends_at = time.monotonic() + _QUIET_WITHIN_S
    while active := drill.monitor.active("page"):
        assert time.monotonic() < ends_at, f"these pages do not end: {active}"
        time.sleep(0.5)


def _wait(drill: Drill, fault: Fault, since: float, *, is_firing: bool, bound: Time) -> float:
    """Return when the fault's alert was sent, or its end."""
    ends_at = time.monotonic() + bound.bound_s
    while True:
        notice = drill.webhook.first(fault.alert, fault.severity, is_firing, since)
        if notice is not None:
            return notice.at
        if time.monotonic() > ends_at:
            break
        time.sleep(0.1)
    what = "arrive" if is_firing else "resolve"
    raise AssertionError(
        f"{fault.name}: {fault.alert} did not {what} within {bound.bound_s:.0f} s; "
        f"active: {drill.monitor.active('page')} {drill.monitor.active('ticket')}"
    )
