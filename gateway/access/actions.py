"""Actions on API keys. Each function changes a key and writes its event, in one transaction."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from gateway.access.models import ApiKey
from gateway.access.token import Token
from gateway.audit.events import Actor, record_event
from gateway.audit.models import Event
from gateway.people.models import Organisation
from gateway.people.scopes import PREDICT, PROBE, SCOPES

# Of a probe key without a limit of its own: one probe a second, and as many by hand. Probes are in
# no usage number, so a leaked probe key must not be worth much.
_PROBES_PER_MINUTE = 120


@transaction.atomic
def issue(
    name: str,
    organisation: Organisation,
    scopes: Iterable[str] = (PREDICT,),
    *,
    by: Actor,
    owner: User | None = None,
    expires_at: datetime | None = None,
    requests_per_minute: int | None = None,
    requests_per_day: int | None = None,
) -> tuple[ApiKey, Token]:
    """Return a new key and its token, to be shown once: only a hash of the secret is stored.

    Raise ValueError for the scope `probe` beside another one: its requests are probes, which no
    usage number counts, and a request is either a probe or not.
    """
    scopes = frozenset(scopes)
    if PROBE in scopes:
        if scopes != {PROBE}:
            raise ValueError(
                f"the scope {PROBE!r} stands alone: requests of such a key are not counted in the "
                "usage; issue a second key for the other scopes"
            )
        requests_per_minute = requests_per_minute or _PROBES_PER_MINUTE
    key, token = _create(
        name,
        organisation,
        scopes,
        owner=owner,
        expires_at=expires_at,
        requests_per_minute=requests_per_minute,
        requests_per_day=requests_per_day,
    )
    record_event(Event.Action.KEY_ISSUED, by, organisation, f"key:{key.id}")
    return key, token


@transaction.atomic
def rotate(old: ApiKey, overlap: timedelta, *, by: Actor) -> tuple[ApiKey, Token]:
    """Return a new key with the rights of the old one, which stays valid for `overlap` more.

    The new key's lifetime is that of the old one. Raise ValueError for a key that was rotated
    before.
    """
    now = timezone.now()
    lifetime = None if old.expires_at is None else old.expires_at - old.created_at
    ends_at = now + overlap
    if old.expires_at is not None:
        ends_at = min(ends_at, old.expires_at)
    unrotated = ApiKey.objects.filter(id=old.id, rotated_at=None)
    if not unrotated.update(rotated_at=now, expires_at=ends_at):
        raise ValueError("this key was rotated before; rotate the one that took its place")
    key, token = _create(
        old.name,
        old.organisation,
        old.scopes,
        owner=old.owner,
        requests_per_minute=old.requests_per_minute,
        requests_per_day=old.requests_per_day,
        expires_at=None if lifetime is None else now + lifetime,
    )
    record_event(Event.Action.KEY_ROTATED, by, key.organisation, f"key:{key.id}")
    old.rotated_at, old.expires_at = now, ends_at
    return key, token


@transaction.atomic
def revoke(key: ApiKey, *, by: Actor) -> bool:
    """Revoke a key with immediate effect. Return False if it was revoked before."""
    now = timezone.now()
    if not ApiKey.objects.filter(id=key.id, revoked_at=None).update(revoked_at=now):
        return False
    record_event(Event.Action.KEY_REVOKED, by, key.organisation, f"key:{key.id}")
    key.revoked_at = now
    return True


def _create(
    name: str, organisation: Organisation, scopes: Iterable[str], **fields: object
) -> tuple[ApiKey, Token]:
    assert set(scopes) <= set(SCOPES)
    token = Token.generate()
    key = ApiKey.objects.create(
        id=token.id,
        name=name,
        organisation=organisation,
        scopes=sorted(set(scopes)),
        secret_hash=token.digest(),
        **fields,
    )
    return key, token
