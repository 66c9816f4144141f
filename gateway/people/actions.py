"""Actions on organisations and their members.

Each function makes one change and writes its event, in one transaction. A person's account is
Django's user: the receivers of gateway.access write the events of its changes, here and in the
admin.
"""

from django.contrib.auth.models import Group, User
from django.db import transaction

from gateway.audit.events import Actor, record_event
from gateway.audit.models import Event
from gateway.people.models import Member, Organisation

Action = Event.Action


@transaction.atomic
def get_or_add_organisation(name: str, *, by: Actor) -> Organisation:
    """Return the organisation of this name; create it if needed.

    Raise ValidationError for an invalid name.
    """
    Organisation(name=name).clean_fields()
    organisation, is_new = Organisation.objects.get_or_create(name=name)
    if is_new:
        _record_organisation(Action.ORGANISATION_ADDED, organisation, by)
    return organisation


@transaction.atomic
def save_organisation(organisation: Organisation, *, by: Actor) -> None:
    """Save a new or changed organisation."""
    action = Action.ORGANISATION_CHANGED if organisation.pk else Action.ORGANISATION_ADDED
    organisation.save()
    _record_organisation(action, organisation, by)


@transaction.atomic
def remove_organisation(organisation: Organisation, *, by: Actor) -> None:
    """Delete an organisation. Raise ProtectedError where keys, members or records refer to it."""
    subject = f"organisation:{organisation}"
    organisation.delete()
    record_event(Action.ORGANISATION_REMOVED, by, None, subject)


@transaction.atomic
def add_person(user: User, organisation_name: str, role: str, *, by: Actor) -> Member:
    """Save a new user as a member of an organisation, in a role (`people.roles.ROLES`)."""
    user.save()
    member = add_member(user, get_or_add_organisation(organisation_name, by=by), by=by)
    set_role(user, role)
    return member


@transaction.atomic
def add_member(user: User, organisation: Organisation, *, by: Actor) -> Member:
    """Make a user a member of an organisation."""
    member = Member(user=user, organisation=organisation)
    save_member(member, by=by)
    return member


@transaction.atomic
def save_member(member: Member, *, by: Actor) -> None:
    """Save a new or changed membership. A move to another organisation has an event in both."""
    before = Member.objects.filter(pk=member.pk).select_related("user", "organisation").first()
    member.save()
    if before is None:
        _record_member(Action.PERSON_ADDED, member, by)
        return
    if (before.user, before.organisation) != (member.user, member.organisation):
        _record_member(Action.PERSON_REMOVED, before, by)
    _record_member(Action.PERSON_CHANGED, member, by)


@transaction.atomic
def remove_member(member: Member, *, by: Actor) -> None:
    """Delete a membership; the user stays."""
    member.delete()
    _record_member(Action.PERSON_REMOVED, member, by)


def set_role(user: User, role: str) -> None:
    """Give a user this role in place of all others."""
    user.groups.set([Group.objects.get(name=role)])


def _record_organisation(action: Event.Action, organisation: Organisation, by: Actor) -> None:
    record_event(action, by, organisation, f"organisation:{organisation}")


def _record_member(action: Event.Action, member: Member, by: Actor) -> None:
    record_event(action, by, member.organisation, f"user:{member.user}")
