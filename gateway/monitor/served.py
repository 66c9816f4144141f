from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Max, Min, QuerySet
from django.utils import timezone

from gateway.audit.models import Record
from gateway.monitor.models import ServedModel

# How far back records are read. A gateway that was down for longer had no requests.
_WINDOW = timedelta(minutes=15)
# While a new model is rolled out, it and the old one answer in turn; after a pause of this length
# the old one has been put back.
_ROLL_OUT = timedelta(minutes=5)


def note_served_models() -> None:
    """Note which models answered lately, as the records tell; blocking.

    It reads the records of a quarter of an hour by their index, however many there are.
    """
    since = timezone.now() - _WINDOW
    answered = Record.objects.filter(received_at__gte=since).exclude(bundle_sha256="").order_by()
    models = answered.values_list("bundle_sha256", "model_name", "model_version").distinct()
    for digest, name, version in models:
        with transaction.atomic():
            model = ServedModel(bundle_sha256=digest, name=name, version=version)
            _note(model, answered.filter(bundle_sha256=digest))


def _note(model: ServedModel, records: QuerySet[Record]) -> None:
    known = ServedModel.objects.filter(bundle_sha256=model.bundle_sha256).first()
    if known is not None:
        records = records.filter(received_at__gt=known.last_seen)
    seen = records.aggregate(first=Min("received_at"), last=Max("received_at"))
    if seen["first"] is None:
        return
    if known is None or _was_replaced(known, seen["first"]):
        model.first_seen, model.last_seen = seen["first"], seen["last"]
        # Another gateway may write the same row at the same time.
        ServedModel.objects.bulk_create([model], ignore_conflicts=True)
    else:
        unseen = ServedModel.objects.filter(pk=known.pk, last_seen__lt=seen["last"])
        unseen.update(last_seen=seen["last"])


def _was_replaced(known: ServedModel, returned: datetime) -> bool:
    """Return whether another model answered in a pause of the known one."""
    others = ServedModel.objects.exclude(bundle_sha256=known.bundle_sha256)
    return known.last_seen < returned - _ROLL_OUT and (
        others.filter(last_seen__gt=known.last_seen).exists()
    )
