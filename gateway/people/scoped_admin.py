from typing import TYPE_CHECKING, TypeVar

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.http import HttpRequest

from gateway.people.models import Member

M = TypeVar("M", bound=Model)

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin
else:

    class ModelAdmin(admin.ModelAdmin):
        """Django's ModelAdmin. The type of its rows, in brackets, exists in the stubs only."""

        def __class_getitem__(cls, model: type[Model]) -> type["ModelAdmin"]:
            return cls


class OwnOrganisation(ModelAdmin[M]):
    """An admin that shows the rows of the reader's own organisation; a superuser sees all."""

    organisation_field = "organisation"

    def get_queryset(self, request: HttpRequest) -> QuerySet[M]:
        rows = super().get_queryset(request)
        if request.user.is_superuser:
            return rows
        own = Member.objects.organisation_of(request.user)
        # An empty set rather than a filter by `None`, which would match rows without an
        # organisation.
        return rows.none() if own is None else rows.filter(**{self.organisation_field: own.pk})

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Allow filters by the columns of the list only.

        Django allows filters by any field of the model: the number of rows that are left then
        reveals a hidden field, letter by letter.
        """
        field = lookup.partition(LOOKUP_SEP)[0]
        shown = {"pk", self.date_hierarchy, *self.get_list_filter(request)}
        shown.update(self.get_list_display(request))
        return field in shown and super().lookup_allowed(lookup, value, request)


class ReadOnly(ModelAdmin[M]):
    """An admin without adding, changing and deleting."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        return False
