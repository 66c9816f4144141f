from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from gateway.audit.events import note_of_request
from gateway.audit.models import Event, Record
from gateway.people.admin import OwnOrganisation, ReadOnly


class Trail(ReadOnly, OwnOrganisation):
    """The audit trail: whoever reads it is in it."""

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        self._note(request, "list")
        return super().changelist_view(request, extra_context)

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kw: Any) -> Any:
        self._note(request, object_id)
        return super().change_view(request, object_id, *args, **kw)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        self._note(request, object_id)
        return super().history_view(request, object_id, extra_context)

    def _note(self, request: HttpRequest, what: str) -> None:
        name = self.model._meta.model_name
        note_of_request(f"{name}.read", request, f"{name}:{what}")


@admin.register(Record)
class RecordAdmin(Trail):
    list_display = [
        "received_at",
        "request_id",
        "correlation_id",
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
    list_filter = ["state", "image_format", "model_version"]
    search_fields = ["request_id", "correlation_id", "key_id", "user", "bundle_sha256"]
    date_hierarchy = "received_at"


@admin.register(Event)
class EventAdmin(Trail):
    list_display = ["at", "action", "actor", "subject", "address"]
    list_filter = ["action"]
    search_fields = ["actor", "subject"]
    date_hierarchy = "at"
