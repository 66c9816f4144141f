from dataclasses import dataclass

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.http import HttpRequest

from gateway.addresses import address_of_request
from gateway.audit.chain import Head, today
from gateway.audit.models import EVENTS, Event
from gateway.people.models import Member, Organisation


@dataclass(frozen=True, slots=True)
class Actor:
    """The actor of an event.

    `key:<id>`, `user:<name>`, `command`, `alertmanager`, `gateway` or `unknown`.
    """

    name: str
    address: str | None = None


# A person who runs the gateway's commands.
COMMAND = Actor("command")
# What the gateway decides by itself.
GATEWAY = Actor("gateway")


def actor_of(request: HttpRequest, user: AbstractBaseUser | None = None) -> Actor:
    """Return the person behind a Django request: by default the signed-in one."""
    name = (user or request.user).get_username()
    return Actor(f"user:{name}" if name else "unknown", address_of_request(request))


def record_event(
    action: Event.Action,
    by: Actor,
    organisation: Organisation | None = None,
    subject: str = "",
) -> None:
    """Commit one sealed event; blocking. Call it before the result is shown."""
    event = Event(
        action=action.value,
        actor=by.name[:200],
        organisation=organisation,
        subject=subject[:200],
        address=by.address,
    )
    with transaction.atomic():
        head = Head.locked(EVENTS, today())
        head.append(event)
        event.save(force_insert=True)
        head.save()


def record_reading(action: Event.Action, request: HttpRequest, subject: str) -> None:
    """Record that a signed-in person reads something in the admin."""
    organisation = Member.objects.organisation_of(request.user)
    record_event(action, actor_of(request), organisation, subject)
