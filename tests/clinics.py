from datetime import timedelta

from gateway.access import actions
from gateway.access.models import ApiKey
from gateway.access.token import Token
from gateway.audit.events import COMMAND
from gateway.people.actions import get_or_add_organisation
from gateway.people.models import Organisation


def organisation_named(name: str) -> Organisation:
    return get_or_add_organisation(name, by=COMMAND)


def issue_key(
    name: str = "a viewer", organisation: str = "a clinic", **fields: object
) -> tuple[ApiKey, Token]:
    return actions.issue(name, organisation_named(organisation), by=COMMAND, **fields)


def rotate_key(key: ApiKey, days: int = 7) -> tuple[ApiKey, Token]:
    return actions.rotate(key, timedelta(days=days), by=COMMAND)


def revoke_key(key: ApiKey) -> bool:
    return actions.revoke(key, by=COMMAND)
