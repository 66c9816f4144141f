from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from gateway.access import actions
from gateway.access.models import ApiKey
from gateway.audit.events import actor_of
from gateway.people.scoped_admin import OwnOrganisation


@admin.register(ApiKey)
class ApiKeyAdmin(OwnOrganisation[ApiKey]):
    """The admin page of API keys.

    It cannot issue one: only the command `issue_key` does, so that the secret appears in one
    terminal and nowhere else.
    """

    list_display = [
        "id",
        "name",
        "organisation",
        "scopes",
        "created_at",
        "expires_at",
        "revoked_at",
        "last_used_at",
    ]
    search_fields = ["id", "name"]
    exclude = ["secret_hash"]
    actions = ["revoke"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> list[str]:
        return [field.name for field in ApiKey._meta.fields if field.name != "secret_hash"]

    @admin.action(description="Revoke the selected keys", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        for key in queryset:
            actions.revoke(key, by=actor_of(request))
