from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from gateway.audit.models import Record, State

# Beyond the deadline: to receive a body before it and to record the end after it.
_GRACE_S = 120


def sweep() -> int:
    """Close as `unknown` what a crash left `received`; return how many rows. Blocking."""
    now = timezone.now()
    swept = 0
    before = now - timedelta(seconds=settings.DEADLINE_S + _GRACE_S)
    for record in Record.objects.left_open(before):
        record.state, record.finished_at = State.UNKNOWN, now
        swept += Record.objects.close(record)
    return swept
