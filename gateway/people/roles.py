from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import Group, Permission
from django.db.transaction import atomic
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from gateway.people.scopes import FEEDBACK, PREDICT, READ_USAGE
from gateway.role_names import RoleName


@dataclass(frozen=True, slots=True)
class Role:
    """The rights of a role: `scopes` at the API, `permissions` (app.codename) in the admin."""

    scopes: frozenset[str]
    permissions: frozenset[str] = frozenset()


_READ_CHARTS = frozenset({"usage.view_tally"})
_READ_TRAIL = frozenset({"usage.view_record", "usage.view_event"})
_READ_KEYS = frozenset({"keys.view_apikey"})
_RUN = frozenset(
    {
        "keys.change_apikey",
        "people.view_organisation",
        "monitor.view_alert",
        "monitor.change_watchalarm",
    }
)

# The names are those of Django's groups. No role may change users: that would allow creating one
# who sees every organisation. Only a superuser or a command may.
ROLES: dict[RoleName, Role] = {
    "clinician": Role(frozenset({PREDICT, FEEDBACK})),
    "auditor": Role(frozenset({READ_USAGE}), _READ_CHARTS | _READ_TRAIL | _READ_KEYS),
    "operator": Role(frozenset({READ_USAGE}), _READ_CHARTS | _READ_KEYS | _RUN),
    "admin": Role(
        frozenset({PREDICT, FEEDBACK, READ_USAGE}), _READ_CHARTS | _READ_TRAIL | _READ_KEYS | _RUN
    ),
}


_TITLES: Mapping[str, Promise] = {
    "clinician": gettext_lazy("clinician"),
    "auditor": gettext_lazy("auditor"),
    "operator": gettext_lazy("operator"),
    "admin": gettext_lazy("administrator"),
}


def titles_of(groups: Iterable[str]) -> tuple[str | Promise, ...]:
    """Return what the groups are called in the reader's language; one that is no role, its name."""
    return tuple(_TITLES.get(group, group) for group in groups)


def scopes_of(groups: Iterable[str]) -> frozenset[str]:
    """Return the union of the scopes of the named roles."""
    names = frozenset(groups)
    return frozenset().union(*(role.scopes for name, role in ROLES.items() if name in names))


@atomic
def write_groups(**kwargs: Any) -> None:
    """Make Django's groups match ROLES, as far as a database that is migrated in part has them."""
    permissions = {
        f"{permission.content_type.app_label}.{permission.codename}": permission
        for permission in Permission.objects.select_related("content_type")
    }
    for name, role in ROLES.items():
        group, _ = Group.objects.get_or_create(name=name)
        group.permissions.set([permissions[p] for p in role.permissions if p in permissions])
