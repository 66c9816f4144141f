from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.http import HttpRequest

from gateway.people.models import Member


class OwnOrganisation(admin.ModelAdmin):
    """Shows what belongs to the reader's own organisation; a superuser sees all of them."""

    organisation_field = "organisation"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        if request.user.is_superuser:
            return rows
        own = Member.objects.organisation_of(request.user)
        # Not `None`, which would match what belongs to nobody.
        return rows.none() if own is None else rows.filter(**{self.organisation_field: own.pk})

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Allow a filter by what the list shows, and by nothing else.

        Django allows one by any field of the model: whether rows are left then tells what a hidden
        field holds, a letter at a time.
        """
        field = lookup.partition(LOOKUP_SEP)[0]
        shown = {"pk", self.date_hierarchy, *self.get_list_filter(request)}
        shown.update(self.get_list_display(request))
        return field in shown and super().lookup_allowed(lookup, value, request)


class ReadOnly(admin.ModelAdmin):
    """Read here and changed nowhere."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
