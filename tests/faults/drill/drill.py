"""One fault after the other: which alert arrives, when, and when it resolves."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from tests.faults.drill.clinic import Clinic, send
from tests.faults.drill.monitor import Monitor
from tests.faults.drill.scaled import SCALE
from tests.faults.drill.stack import DrillStack
from tests.faults.drill.webhook import Notice, Webhook

# Beyond what the rule needs: two busy cores, on which processes start in seconds, or in a minute.
_ALLOWANCE_S = 90.0
_QUIET_WITHIN_S = 240.0
# An evaluation sends it, and Alertmanager groups it.
_SENDS_S = 2.0


@dataclass(frozen=True)
class Time:
    """How long something takes: what the rules wait, which is divided by SCALE, and the rest.

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
    """What a fault is brought into, and what watches it."""

    stack: DrillStack
    clinic: Clinic
    monitor: Monitor
    webhook: Webhook
    rows: list["Row"] = field(default_factory=list)


@dataclass(frozen=True)
class Fault:
    """A fault, and the alert that has to arrive.

    brought: a block at whose start the fault is there, and at whose end it is repaired.
    consequences: other pages that the fault causes, by their names, with the reason.
    """

    name: str
    alert: str
    brought: Callable[[Drill], AbstractContextManager[None]]
    arrives: Time
    resolves: Time
    severity: str = "page"
    consequences: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """The result for one fault. others: the other pages that came, all of them consequences."""

    fault: Fault
    arrived_s: float
    resolved_s: float
    others: list[str]


def exercise(drill: Drill, fault: Fault) -> Row:
    """Bring the fault in, wait for its alert, repair it, and wait until no page is left.

    Raise AssertionError where the alert does not arrive or resolve in time, where another page
    arrives, or where images are not answered afterwards.
    """
    wait_for_quiet(drill)
    began = time.monotonic()
    with fault.brought(drill):
        arrived = _wait(drill, fault, began, is_firing=True, bound=fault.arrives)
        repaired = time.monotonic()
        # What else the fault fires arrives while the alert is still there.
    resolved = _wait(drill, fault, arrived, is_firing=False, bound=fault.resolves)
    wait_for_quiet(drill)
    pages = [notice for notice in drill.webhook.since(began) if notice.is_page]
    others = [notice for notice in pages if notice.name != fault.alert]
    unexplained = [str(notice) for notice in others if notice.name not in fault.consequences]
    assert not unexplained, f"{fault.name} fired other pages, too: {unexplained}"
    assert send(drill.stack.up) == 200
    row = Row(fault, arrived - began, resolved - repaired, sorted({n.name for n in others}))
    drill.rows.append(row)
    return row


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
        f"active: {drill.monitor.active('page')} {drill.monitor.active('ticket')}; "
        f"sent: {_sent(drill.webhook.since(since))}; clinic: {dict(drill.clinic.statuses)}"
    )


def _sent(notices: list[Notice]) -> list[str]:
    return [f"{notice} {'fires' if notice.is_firing else 'resolved'}" for notice in notices]


