from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin  # noqa: F401, the import registers it
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest

from gateway.audit.events import actor_of
from gateway.people import actions
from gateway.people.models import Member, Organisation
from gateway.people.scoped_admin import OwnOrganisation

# Roles are defined in `people.roles`: the next migration would undo a change made here.
admin.site.unregister(Group)


@admin.register(Organisation)
class OrganisationAdmin(OwnOrganisation[Organisation]):
    """The admin of organisations: superusers edit all of them, other staff see their own."""

    organisation_field = "pk"
    list_display = ["name", "is_active", "requests_per_minute", "requests_per_day"]

    def has_delete_permission(self, request: HttpRequest, obj: Organisation | None = None) -> bool:
        return False

    def save_model(
        self,
        request: HttpRequest,
        obj: Organisation,
        form: "ModelForm[Organisation]",
        change: bool,
    ) -> None:
        actions.save_organisation(obj, by=actor_of(request))


@admin.register(Member)
class MemberAdmin(OwnOrganisation[Member]):
    list_display = ["user", "organisation"]

    def save_model(
        self, request: HttpRequest, obj: Member, form: "ModelForm[Member]", change: bool
    ) -> None:
        actions.save_member(obj, by=actor_of(request))

    def delete_model(self, request: HttpRequest, obj: Member) -> None:
        actions.remove_member(obj, by=actor_of(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Member]) -> None:
        for member in queryset:
            actions.remove_member(member, by=actor_of(request))
