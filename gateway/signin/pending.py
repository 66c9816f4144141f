"""A sign-in that waits for its second factor, kept in the session of somebody not signed in yet."""

from dataclasses import dataclass
from hmac import compare_digest
from time import time
from typing import Any

from django.contrib.auth.models import User
from django.http import HttpRequest

from gateway.people.backends import PeopleBackend

WITHIN_S = 600

_PENDING = "signin.pending"


@dataclass(frozen=True, slots=True)
class Pending:
    """A person whose first factor was right. next: the address that they wanted, or ""."""

    user: User
    next: str
    proved_at: float


def hold(request: HttpRequest, user: User, next_: str, proved_at: float) -> None:
    """Keep a sign-in until its second factor comes, under a new session key."""
    request.session.cycle_key()
    keep_shortly(
        request,
        _PENDING,
        {
            "user": user.pk,
            # Another password ends this sign-in, as it ends sessions.
            "password": user.get_session_auth_hash(),
            "next": next_,
            "proved_at": proved_at,
        },
    )


def pending_of(request: HttpRequest) -> Pending | None:
    """Return the sign-in that waits in this session. None after WITHIN_S, or for a person who may
    no longer sign in.
    """
    kept = kept_shortly(request, _PENDING)
    if kept is None:
        return None
    user = PeopleBackend().get_user(kept["user"])
    if not isinstance(user, User):
        return None
    if not compare_digest(user.get_session_auth_hash(), kept["password"]):
        return None
    return Pending(user, kept["next"], kept["proved_at"])


def forget(request: HttpRequest) -> None:
    """Forget the sign-in that waits, since it was completed."""
    request.session.pop(_PENDING, None)


def keep_shortly(request: HttpRequest, name: str, values: dict[str, Any]) -> None:
    """Keep values in the session for WITHIN_S.

    The row of a session in which nobody signs in expires as soon, so that they do not pile up.
    """
    if not request.user.is_authenticated:
        request.session.set_expiry(WITHIN_S)
    request.session[name] = {"at": time(), **values}


def kept_shortly(request: HttpRequest, name: str) -> dict[str, Any] | None:
    kept: dict[str, Any] | None = request.session.get(name)
    if kept is None or not 0 <= time() - kept["at"] <= WITHIN_S:
        return None
    return kept


def take_shortly(request: HttpRequest, name: str) -> dict[str, Any] | None:
    """Return the values, which are gone then."""
    kept = kept_shortly(request, name)
    request.session.pop(name, None)
    return kept
