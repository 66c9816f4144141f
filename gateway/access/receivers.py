"""Events of what happens outside our own code: sign-ins, and Django's edits of users."""

from typing import Any

from django.contrib.auth.models import AbstractBaseUser, Group, User
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db.models import QuerySet
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_delete, pre_save
from django.dispatch import receiver
from django.http import HttpRequest

from gateway.access.models import ApiKey
from gateway.access.signals import key_changed
from gateway.addresses import address_of_request
from gateway.audit.events import COMMAND, name_and_organisation, note
from gateway.people.current import current_request
from gateway.people.models import Member, Organisation


@receiver(key_changed)
def _key_changed(sender: Any, key: ApiKey, action: str, actor: str, **kwargs: Any) -> None:
    note(action, actor, key.organisation, f"key:{key.id}")


@receiver(user_logged_in)
def _signed_in(sender: Any, request: HttpRequest, user: AbstractBaseUser, **kwargs: Any) -> None:
    note("session.began", *name_and_organisation(user), address=address_of_request(request))


@receiver(user_logged_out)
def _signed_out(
    sender: Any, request: HttpRequest, user: AbstractBaseUser | None, **kwargs: Any
) -> None:
    if user is not None:
        note("session.ended", *name_and_organisation(user), address=address_of_request(request))


@receiver(user_login_failed)
def _refused(
    sender: Any, credentials: dict[str, Any], request: HttpRequest | None, **kwargs: Any
) -> None:
    # Not a name that is nobody's: sooner or later it is somebody's password.
    person = User.objects.filter(username=credentials.get("username")).first()
    organisation = None if person is None else Member.objects.organisation_of(person)
    address = None if request is None else address_of_request(request)
    subject = "" if person is None else f"user:{person}"
    note("session.refused", "unknown", organisation, subject, address)


@receiver(post_save, sender=User)
def _person_saved(
    sender: Any,
    instance: User,
    created: bool,
    raw: bool,
    update_fields: frozenset[str] | None,
    **kwargs: Any,
) -> None:
    if not raw and update_fields != {"last_login"}:
        _note_person("person.added" if created else "person.changed", instance)


@receiver(post_delete, sender=User)
def _person_deleted(sender: Any, instance: User, **kwargs: Any) -> None:
    _note_person("person.removed", instance)


@receiver(m2m_changed, sender=User.groups.through)
@receiver(m2m_changed, sender=User.user_permissions.through)
def _rights_changed(
    sender: Any, instance: Any, action: str, reverse: bool, pk_set: set[int] | None, **kwargs: Any
) -> None:
    # What is cleared has to be told before, while it is known whose it was.
    if action not in ("post_add", "post_remove", "pre_clear") or pk_set == set():
        return
    if not reverse:
        _note_person("person.changed", instance)
    else:
        people = instance.user_set.all() if pk_set is None else User.objects.filter(pk__in=pk_set)
        _note_people("person.changed", people)


@receiver(pre_delete, sender=Group)
def _role_deleted(sender: Any, instance: Group, **kwargs: Any) -> None:
    _note_people("person.changed", instance.user_set.all())


@receiver(pre_save, sender=Member)
def _member_leaves(sender: Any, instance: Member, raw: bool, **kwargs: Any) -> None:
    """For another organisation: the one that is left has to know."""
    stays = {"organisation": instance.organisation_id, "user": instance.user_id}
    left = Member.objects.filter(pk=instance.pk).exclude(**stays).first()
    if left is not None and not raw:
        _note_change("person.removed", f"user:{left.user}", left.organisation)


@receiver(post_save, sender=Member)
def _member_saved(sender: Any, instance: Member, created: bool, raw: bool, **kwargs: Any) -> None:
    if not raw:
        action = "person.added" if created else "person.changed"
        _note_change(action, f"user:{instance.user}", instance.organisation)


@receiver(post_delete, sender=Member)
def _member_deleted(sender: Any, instance: Member, **kwargs: Any) -> None:
    _note_change("person.removed", f"user:{instance.user}", instance.organisation)


@receiver(post_save, sender=Organisation)
def _organisation_saved(
    sender: Any, instance: Organisation, created: bool, raw: bool, **kwargs: Any
) -> None:
    if not raw:
        action = "organisation.added" if created else "organisation.changed"
        _note_change(action, f"organisation:{instance}", instance)


@receiver(post_delete, sender=Organisation)
def _organisation_deleted(sender: Any, instance: Organisation, **kwargs: Any) -> None:
    _note_change("organisation.removed", f"organisation:{instance}", None)


def _note_people(action: str, people: QuerySet[User]) -> None:
    for person in people:
        _note_person(action, person)


def _note_person(action: str, person: User) -> None:
    _note_change(action, f"user:{person}", Member.objects.organisation_of(person))


def _note_change(action: str, subject: str, organisation: Organisation | None) -> None:
    """Whoever is signed in did it, or a command."""
    request = current_request.get()
    if request is None:
        note(action, COMMAND, organisation, subject)
        return
    name = request.user.get_username()
    actor = f"user:{name}" if name else "unknown"
    note(action, actor, organisation, subject, address_of_request(request))
