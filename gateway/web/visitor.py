from dataclasses import dataclass

from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from gateway.people.models import Member
from gateway.people.roles import scopes_of, titles_of
from gateway.people.scopes import PREDICT

# What people may do besides analysing images: the permission, the admin's view, its title.
_ELSEWHERE = (
    ("monitor.view_alert", "operations", gettext_lazy("Operations")),
    ("usage.view_tally", "admin:usage_tally_changelist", gettext_lazy("Usage charts")),
    (
        "usage.view_record",
        "admin:usage_record_changelist",
        gettext_lazy("Audit records of requests"),
    ),
    ("usage.view_event", "admin:usage_event_changelist", gettext_lazy("Audit events")),
    ("keys.view_apikey", "admin:keys_apikey_changelist", gettext_lazy("API keys")),
    (
        "people.view_organisation",
        "admin:people_organisation_changelist",
        gettext_lazy("Organisations"),
    ),
)


@dataclass(frozen=True, slots=True)
class Visitor:
    """A signed-in person, as the pages address them."""

    name: str
    organisation: str | None
    roles: tuple[str | Promise, ...]
    may_predict: bool
    elsewhere: tuple[tuple[str, Promise], ...]  # URL and title of each view that they may open


def visitor_of(request: HttpRequest) -> Visitor | None:
    """Return the person of the request's session, or None; blocking."""
    user = request.user
    if not user.is_authenticated:
        return None
    organisation = Member.objects.organisation_of(user)
    roles = tuple(user.groups.order_by("name").values_list("name", flat=True))
    return Visitor(
        name=user.get_username(),
        organisation=None if organisation is None else organisation.name,
        roles=titles_of(roles),
        may_predict=organisation is not None and PREDICT in scopes_of(roles),
        elsewhere=tuple(_elsewhere(user)),
    )


def _elsewhere(user: User | AnonymousUser) -> list[tuple[str, Promise]]:
    if not user.is_staff:
        return []
    return [
        (reverse(view), name) for permission, view, name in _ELSEWHERE if user.has_perm(permission)
    ]
