from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db import transaction
from django.dispatch import receiver
from django.http import HttpRequest

from gateway.keys.auth import address_of_request
from gateway.keys.models import ApiKey
from gateway.keys.signals import key_changed
from gateway.people.models import Member, Organisation
from gateway.usage.chain import Head, today
from gateway.usage.models import EVENTS, Event


def note(
    action: str,
    actor: str,
    organisation: Organisation | None = None,
    subject: str = "",
    address: str | None = None,
) -> None:
    """Commits one sealed event; blocking. Comes before what it tells of is shown."""
    event = Event(
        action=action,
        actor=actor[:200],
        organisation=organisation,
        subject=subject[:200],
        address=address,
    )
    with transaction.atomic():
        head = Head.locked(EVENTS, today())
        head.append(event)
        event.save(force_insert=True)
        head.save(update_fields=["length", "seal"])


def note_of_request(action: str, request: HttpRequest, subject: str = "") -> None:
    """What a signed-in person does in the admin."""
    note(action, *_who(request.user), subject, address_of_request(request))


def _who(user: Any) -> tuple[str, Organisation | None]:
    return f"user:{user.get_username()}", Member.objects.organisation_of(user)


@receiver(key_changed)
def _key_changed(sender: Any, key: ApiKey, action: str, actor: str, **kwargs: Any) -> None:
    note(action, actor, key.organisation, f"key:{key.id}")


@receiver(user_logged_in)
def _signed_in(sender: Any, request: HttpRequest, user: AbstractBaseUser, **kwargs: Any) -> None:
    note("session.began", *_who(user), address=address_of_request(request))


@receiver(user_logged_out)
def _signed_out(
    sender: Any, request: HttpRequest, user: AbstractBaseUser | None, **kwargs: Any
) -> None:
    if user is not None:
        note("session.ended", *_who(user), address=address_of_request(request))


@receiver(user_login_failed)
def _refused(sender: Any, request: HttpRequest | None, **kwargs: Any) -> None:
    # Not the name that was typed: sooner or later it is somebody's password.
    address = None if request is None else address_of_request(request)
    note("session.refused", "unknown", address=address)
