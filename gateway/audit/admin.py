from typing import Any, TypeVar

from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from gateway.audit.events import record_reading
from gateway.audit.models import Event, Record
from gateway.people.scoped_admin import OwnOrganisation, ReadOnly

Row = TypeVar("Row", Record, Event)


class Trail(ReadOnly[Row], OwnOrganisation[Row]):
    """An admin of the audit trail that records who reads it."""

    reading: Event.Action

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        self._record(request, "list")
        return super().changelist_view(request, extra_context)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        self._record(request, object_id)
        return super().change_view(request, object_id, form_url, extra_context)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        self._record(request, object_id)
        return super().history_view(request, object_id, extra_context)

    def _record(self, request: HttpRequest, what: str) -> None:
        record_reading(self.reading, request, f"{self.model._meta.model_name}:{what}")


@admin.register(Record)
class RecordAdmin(Trail[Record]):
    reading = Event.Action.RECORD_READ
    list_display = [
        "received_at",
        "request_id",
        "correlation_id",
        "source",
        "state",
        "status",
        "error_code",
        "key_id",
        "user",
        "image_format",
        "detection_count",
        "below_threshold",
        "latency_ms",
    ]
    list_filter = ["source", "state", "image_format", "model_version"]
    search_fields = ["request_id", "correlation_id", "key_id", "user", "bundle_sha256"]
    date_hierarchy = "received_at"


@admin.register(Event)
class EventAdmin(Trail[Event]):
    reading = Event.Action.EVENT_READ
    list_display = ["at", "action", "actor", "subject", "address"]
    list_filter = ["action"]
    search_fields = ["actor", "subject"]
    date_hierarchy = "at"
