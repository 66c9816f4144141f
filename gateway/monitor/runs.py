from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Self

from django.utils import timezone

from gateway.monitor.models import ProbeRun

_KEPT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class ProbeState:
    """What the last probes say: the last one, the last one that agreed, and how many since then."""

    last: ProbeRun | None = None
    success: ProbeRun | None = None
    failures_in_a_row: int = 0

    def after(self, run: ProbeRun) -> Self:
        """Return the state after one more probe."""
        if run.agrees:
            return replace(self, last=run, success=run, failures_in_a_row=0)
        return replace(self, last=run, failures_in_a_row=self.failures_in_a_row + 1)


def probe_state() -> ProbeState:
    """Return the state of the probes of all gateways; blocking."""
    # By number rather than by time: a clock may be set back.
    success = ProbeRun.objects.filter(result=ProbeRun.Result.AGREED).first()
    since = ProbeRun.objects.filter(pk__gt=0 if success is None else success.pk)
    return ProbeState(ProbeRun.objects.first(), success, since.count())


def prune_runs() -> None:
    """Delete probes that are older than 30 days; blocking. The audit records stay."""
    ProbeRun.objects.filter(at__lt=timezone.now() - _KEPT).delete()
