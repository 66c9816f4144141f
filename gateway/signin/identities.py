"""Who a person of the OpenID provider is here.

1. An account of the provider that signed in before is found again by issuer and subject.
2. Else, where LESIONSERVE_OIDC_LINK_BY_EMAIL is on, by a verified e-mail address that exactly one
   person has here. A superuser is never found so: who administers the provider would become one.
3. Else by its groups, where LESIONSERVE_OIDC_GROUPS gives them an organisation and a role. This
   makes an account without a password, and without a right beyond that role.

Anybody else is refused. An account that the groups made follows them at each sign-in.
"""

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import Group, User
from django.core.exceptions import ValidationError
from django.db import transaction

from gateway.audit.events import Actor
from gateway.people.actions import add_member, save_member
from gateway.people.backends import PeopleBackend
from gateway.people.models import Member, Organisation
from gateway.people.roles import ROLES
from gateway.sign_in_variables import OpenIdSettings, Place
from gateway.signin.actions import link_identity
from gateway.signin.models import Identity

Claims = Mapping[str, Any]


class NotLetIn(Exception):
    """The provider knows the person; this service does not let them in. Its text is for the log."""


@transaction.atomic
def person_of(claims: Claims, settings: OpenIdSettings, address: str | None) -> User:
    """Return the person whose claims these are. Raise NotLetIn, with nothing changed."""
    identity = (
        Identity.objects.select_related("user")
        .filter(issuer=settings.issuer, subject=claims["sub"])
        .first()
    )
    if identity is None:
        identity = _link_by_email(claims, settings, address) or _add(claims, settings, address)
    elif identity.follows_groups:
        _follow(identity.user, _placement(claims, settings), _actor(identity.user, address))
    if not PeopleBackend().user_can_authenticate(identity.user):
        raise NotLetIn("the account or its organisation is inactive")
    return identity.user


def has_second_factor(claims: Claims, settings: OpenIdSettings) -> bool:
    """Return whether the provider asked for a second factor, by its word or by the settings."""
    if settings.second_factor == "claimed":
        methods = claims.get("amr")
        return isinstance(methods, list) and "mfa" in methods
    return settings.second_factor == "always"


def _link_by_email(
    claims: Claims, settings: OpenIdSettings, address: str | None
) -> Identity | None:
    email = claims.get("email")
    if not settings.links_by_email or not isinstance(email, str) or not email:
        return None
    if claims.get("email_verified") is not True:
        return None
    people = list(User.objects.filter(email__iexact=email, is_superuser=False)[:2])
    if len(people) != 1:
        return None
    (person,) = people
    if person.identities.filter(issuer=settings.issuer).exists():
        raise NotLetIn("the person with this e-mail address has another account of the provider")
    by = _actor(person, address)
    return link_identity(person, settings.issuer, claims["sub"], follows_groups=False, by=by)


def _add(claims: Claims, settings: OpenIdSettings, address: str | None) -> Identity:
    organisation, roles = _placement(claims, settings)
    name = claims.get("preferred_username") or claims.get("email") or claims["sub"]
    user = User(username=name, email=_email_of(claims))
    user.set_unusable_password()
    try:
        user.clean_fields(exclude=["password"])
    except ValidationError as error:
        raise NotLetIn(f"the provider's name is none for an account: {error.messages}") from None
    if User.objects.filter(username__iexact=name).exists():
        raise NotLetIn(
            "an account of this name exists, and belongs to somebody else as far as known"
        )
    by = _actor(user, address)
    user.save()
    add_member(user, organisation, by=by)
    _set_roles(user, roles)
    return link_identity(user, settings.issuer, claims["sub"], follows_groups=True, by=by)


def _placement(claims: Claims, settings: OpenIdSettings) -> tuple[Organisation, frozenset[str]]:
    """Return the organisation and the roles of the person's groups.

    Raise NotLetIn for groups without a place here, of several organisations, or of one that does
    not exist.
    """
    groups = claims.get(settings.groups_claim)
    names = [groups] if isinstance(groups, str) else groups if isinstance(groups, list) else []
    places: list[Place] = [settings.places[name] for name in names if name in settings.places]
    organisations = {place.organisation for place in places}
    if len(organisations) != 1:
        count = len(organisations)
        raise NotLetIn(f"the claim {settings.groups_claim} names {count} organisations, not one")
    organisation = Organisation.objects.filter(name=organisations.pop()).first()
    if organisation is None:
        raise NotLetIn("LESIONSERVE_OIDC_GROUPS names an organisation that does not exist")
    return organisation, frozenset(place.role for place in places)


def _follow(user: User, place: tuple[Organisation, frozenset[str]], by: Actor) -> None:
    organisation, roles = place
    _set_roles(user, roles)
    member = Member.objects.filter(user=user).first()
    if member is None:
        raise NotLetIn("the person was removed from their organisation here")
    if member.organisation != organisation:
        member.organisation = organisation
        save_member(member, by=by)


def _set_roles(user: User, roles: frozenset[str]) -> None:
    """Give a person these roles in place of all others, where they differ."""
    if set(user.groups.values_list("name", flat=True)) != roles:
        user.groups.set(Group.objects.filter(name__in=roles))
    is_staff = any(role.permissions for name, role in ROLES.items() if name in roles)
    if user.is_staff != is_staff:
        user.is_staff = is_staff
        user.save(update_fields=["is_staff"])


def _email_of(claims: Claims) -> str:
    email = claims.get("email")
    return email if isinstance(email, str) and claims.get("email_verified") is True else ""


def _actor(user: User, address: str | None) -> Actor:
    return Actor(f"user:{user.get_username()}", address)
