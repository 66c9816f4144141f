"""Events of what happens outside our own actions: sign-ins, and Django's own edits of users.

gateway.access.actions and gateway.people.actions write the events of their own changes.
"""

from django.contrib.auth.models import AbstractBaseUser, Group, Permission, User
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db.models import Model, QuerySet
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_delete
from django.dispatch import receiver
from django.http import HttpRequest

from gateway.access.metrics import REFUSED_CREDENTIALS
from gateway.addresses import address_of_request
from gateway.audit.events import COMMAND, Actor, actor_of, record_event
from gateway.audit.models import Event
from gateway.people.current import current_request
from gateway.people.lockout import FACTOR
from gateway.people.models import Member, Organisation

Action = Event.Action


@receiver(user_logged_in)
def _signed_in(
    sender: type[AbstractBaseUser], request: HttpRequest, user: AbstractBaseUser, **kwargs: object
) -> None:
    organisation = Member.objects.organisation_of(user)
    record_event(Action.SESSION_BEGAN, actor_of(request, user), organisation)


@receiver(user_logged_out)
def _signed_out(
    sender: type[AbstractBaseUser],
    request: HttpRequest,
    user: AbstractBaseUser | None,
    **kwargs: object,
) -> None:
    if user is not None:
        organisation = Member.objects.organisation_of(user)
        record_event(Action.SESSION_ENDED, actor_of(request, user), organisation)


@receiver(user_login_failed)
def _refused(
    sender: str, credentials: dict[str, str], request: HttpRequest | None, **kwargs: object
) -> None:
    REFUSED_CREDENTIALS.inc()
    # An unknown name is left out: sooner or later it is somebody's password.
    person = User.objects.filter(username=credentials.get("username")).first()
    organisation = None if person is None else Member.objects.organisation_of(person)
    address = None if request is None else address_of_request(request)
    subject = "" if person is None else f"user:{person}"
    is_second = FACTOR in credentials
    action = Action.SECOND_FACTOR_REFUSED if is_second else Action.SESSION_REFUSED
    record_event(action, Actor("unknown", address), organisation, subject)


@receiver(post_save, sender=User)
def _user_saved(
    sender: type[User],
    instance: User,
    created: bool,
    raw: bool,
    update_fields: frozenset[str] | None,
    **kwargs: object,
) -> None:
    if not raw and update_fields != frozenset({"last_login"}):
        _record(Action.PERSON_ADDED if created else Action.PERSON_CHANGED, instance)


@receiver(pre_delete, sender=User)
def _member_goes_with_user(sender: type[User], instance: User, **kwargs: object) -> None:
    organisation = Member.objects.organisation_of(instance)
    if organisation is not None:
        _record(Action.PERSON_REMOVED, instance, organisation)


@receiver(post_delete, sender=User)
def _user_deleted(sender: type[User], instance: User, **kwargs: object) -> None:
    _record(Action.PERSON_REMOVED, instance)


@receiver(m2m_changed, sender=User.groups.through)
@receiver(m2m_changed, sender=User.user_permissions.through)
def _rights_changed(
    sender: type[Model],
    instance: User | Group | Permission,
    action: str,
    pk_set: set[int] | None,
    **kwargs: object,
) -> None:
    # Record a cleared relation before it is cleared, while its members are known.
    if action not in ("post_add", "post_remove", "pre_clear") or pk_set == set():
        return
    if isinstance(instance, User):
        _record(Action.PERSON_CHANGED, instance)
    else:
        users = instance.user_set.all() if pk_set is None else User.objects.filter(pk__in=pk_set)
        _record_all(Action.PERSON_CHANGED, users)


@receiver(pre_delete, sender=Group)
def _role_deleted(sender: type[Group], instance: Group, **kwargs: object) -> None:
    _record_all(Action.PERSON_CHANGED, instance.user_set.all())


def _record_all(action: Event.Action, users: QuerySet[User]) -> None:
    for user in users:
        _record(action, user)


def _record(action: Event.Action, user: User, organisation: Organisation | None = None) -> None:
    """Record a change of a user by the signed-in person, or by a command."""
    request = current_request.get()
    by = COMMAND if request is None else actor_of(request)
    record_event(action, by, organisation or Member.objects.organisation_of(user), f"user:{user}")
