from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from gateway.people.models import Member, Organisation


def organisation_of(request: HttpRequest) -> Organisation | None:
    member = Member.objects.filter(user=request.user.pk).select_related("organisation").first()
    return None if member is None else member.organisation


class OwnOrganisation(admin.ModelAdmin):
    """Shows what belongs to the reader's own organisation; a superuser sees all of them."""

    organisation_field = "organisation"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        found: QuerySet[Any] = super().get_queryset(request)
        if request.user.is_superuser:
            return found
        return found.filter(**{self.organisation_field: organisation_of(request)})


class ReadOnly(admin.ModelAdmin):
    """Read here and changed nowhere."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(Organisation)
class OrganisationAdmin(admin.ModelAdmin):
    """Organisations are a superuser's, but for looking at one's own."""

    list_display = ["name", "is_active", "requests_per_minute", "requests_per_day"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Organisation]:
        found = super().get_queryset(request)
        if request.user.is_superuser:
            return found
        own = organisation_of(request)
        return found.filter(pk=None if own is None else own.pk)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(Member)
class MemberAdmin(OwnOrganisation):
    list_display = ["user", "organisation"]
