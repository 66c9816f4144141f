from django.contrib import admin
from django.http import HttpRequest

from gateway.usage.models import Record


@admin.register(Record)
class RecordAdmin(admin.ModelAdmin):
    """The audit trail is read here and changed nowhere."""

    list_display = [
        "received_at",
        "request_id",
        "state",
        "status",
        "error_code",
        "key_id",
        "image_format",
        "detection_count",
        "latency_ms",
    ]
    list_filter = ["state", "image_format", "model_version"]
    search_fields = ["request_id", "key_id"]
    date_hierarchy = "received_at"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Record | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Record | None = None) -> bool:
        return False
