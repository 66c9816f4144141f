from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from gateway.audit.models import Record, State

# Beyond the deadline: time to receive the body before, and to write the record after it.
_GRACE_S = 120


def sweep() -> list[Record]:
    """Close as `unknown` the rows that a crash left `received`. Return them; blocking."""
    now = timezone.now()
    swept = []
    before = now - timedelta(seconds=settings.DEADLINE_S + _GRACE_S)
    for record in Record.objects.left_open(before):
        record.state, record.finished_at = State.UNKNOWN, now
        if Record.objects.close(record):
            swept.append(record)
    return swept
