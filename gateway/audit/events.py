from typing import Any

from django.db import transaction
from django.http import HttpRequest

from gateway.addresses import address_of_request
from gateway.audit.chain import Head, today
from gateway.audit.models import EVENTS, Event
from gateway.people.models import Member, Organisation

# The actor of an event of the gateway's commands.
COMMAND = "command"


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
        head.save()


def note_of_request(action: str, request: HttpRequest, subject: str = "") -> None:
    """What a signed-in person does in the admin."""
    note(action, *name_and_organisation(request.user), subject, address_of_request(request))


def name_and_organisation(user: Any) -> tuple[str, Organisation | None]:
    return f"user:{user.get_username()}", Member.objects.organisation_of(user)
