from datetime import timedelta

from django.conf import settings
from django.db.models import Model
from django.utils import timezone

from gateway.audit.models import AuditCheck, Event, Record
from gateway.metrics import last_known, set_unknown

SEALED = last_known(
    "lesionserve_gateway_audit_sealed_timestamp_seconds",
    "When the newest sealed record or event was written; 0 for an empty trail.",
)
VERIFIED = last_known(
    "lesionserve_gateway_audit_verified_timestamp_seconds",
    "When the whole trail was last verified and found intact; 0 for never.",
)
INTACT = last_known(
    "lesionserve_gateway_audit_intact",
    "0 where the last verification of the whole trail found faults, or else 1.",
)
OPEN = last_known(
    "lesionserve_gateway_audit_open_records",
    "Records of requests whose deadline has passed, and that have no final state.",
)
for gauge in (SEALED, VERIFIED, INTACT, OPEN):
    set_unknown(gauge)


def refresh_audit_metrics() -> None:
    """Read the metrics of the trail from the database; blocking."""
    SEALED.set(max(_newest(Record, "finished_at"), _newest(Event, "at")))
    intact = AuditCheck.objects.filter(intact=True).order_by("at").last()
    latest = AuditCheck.objects.order_by("at").last()
    VERIFIED.set(0.0 if intact is None else intact.at.timestamp())
    INTACT.set(latest is None or latest.intact)
    late = timezone.now() - timedelta(seconds=settings.DEADLINE_S)
    OPEN.set(Record.objects.left_open(late).count())


def _newest(model: type[Model], field: str) -> float:
    """Return when the last row of the trail was written, by the index of its positions."""
    sealed = model._default_manager.filter(day__isnull=False).order_by("-day", "-position")
    at = sealed.values_list(field, flat=True).first()
    return 0.0 if at is None else at.timestamp()
