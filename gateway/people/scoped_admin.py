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
        """Django's, which takes the type of its rows in brackets in the stubs alone."""

        def __class_getitem__(cls, model: type[Model]) -> type["ModelAdmin"]:
            return cls


class OwnOrganisation(ModelAdmin[M]):
    """Shows what belongs to the reader's own organisation; a superuser sees all of them."""

    organisation_field = "organisation"

    def get_queryset(self, request: HttpRequest) -> QuerySet[M]:
        rows = super().get_queryset(request)
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


class ReadOnly(ModelAdmin[M]):
    """Read here and changed nowhere."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        return False
