"""Actions on second factors, identities and sessions.

Each function makes one change and writes its event, in one transaction.
"""

import re

import structlog
from axes.utils import reset as unlock
from cryptography.fernet import Fernet, InvalidToken
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from gateway.audit.events import Actor, record_event
from gateway.audit.models import Event
from gateway.encryption import cipher_of
from gateway.people.lockout import FACTOR, typed_name
from gateway.people.models import Member
from gateway.signin import totp
from gateway.signin.codes import digest_of, new_codes
from gateway.signin.factors import factors_of
from gateway.signin.models import AuthenticatorApp, Identity, OpenSession, Passkey, RecoveryCode
from gateway.signin.passkeys import NewCredential

logger = structlog.stdlib.get_logger(__name__)

Action = Event.Action

_SIX_DIGITS = re.compile("[0-9]{6}")


def secrets_cipher() -> Fernet:
    """Return the cipher of the secrets of authenticator apps."""
    return cipher_of("lesionserve.signin", "authenticator apps")


@transaction.atomic
def add_app(user: User, secret: str, step: int, *, by: Actor) -> None:
    """Add an authenticator app. step: of the code that proved it, which is used up by that.

    Raise IntegrityError where the person has an app.
    """
    encrypted = secrets_cipher().encrypt(secret.encode())
    AuthenticatorApp.objects.create(user=user, secret=encrypted, last_step=step)
    _record(Action.SECOND_FACTOR_ADDED, user, f"authenticator_app:{user}", by)


@transaction.atomic
def add_passkey(user: User, name: str, new: NewCredential, *, by: Actor) -> None:
    """Add a passkey. Raise IntegrityError where its credential is registered already."""
    Passkey.objects.create(
        user=user,
        name=name,
        credential_id=new.id,
        credential=new.credential,
        sign_count=new.sign_count,
    )
    _record(Action.SECOND_FACTOR_ADDED, user, f"passkey:{name} of {user}", by)


@transaction.atomic
def remove_app(app: AuthenticatorApp, *, by: Actor) -> None:
    app.delete()
    _record(Action.SECOND_FACTOR_REMOVED, app.user, f"authenticator_app:{app.user}", by)
    _forget_codes_without_factor(app.user)


@transaction.atomic
def remove_passkey(passkey: Passkey, *, by: Actor) -> None:
    passkey.delete()
    subject = f"passkey:{passkey.name} of {passkey.user}"
    _record(Action.SECOND_FACTOR_REMOVED, passkey.user, subject, by)
    _forget_codes_without_factor(passkey.user)


@transaction.atomic
def make_recovery_codes(user: User, *, by: Actor) -> list[str]:
    """Return new recovery codes, to be shown once. The earlier ones are void."""
    RecoveryCode.objects.filter(user=user).delete()
    codes = new_codes()
    RecoveryCode.objects.bulk_create(
        RecoveryCode(user=user, digest=digest_of(code)) for code in codes
    )
    _record(Action.RECOVERY_CODES_MADE, user, f"user:{user}", by)
    return codes


@transaction.atomic
def use_code(user: User, typed: str, *, by: Actor) -> bool:
    """Use up a code of the person's app, or a recovery code. Return False for a wrong code.

    Each code is accepted once, also by several gateways at the same time.
    """
    code = "".join(typed.split())
    kind = "authenticator_app" if _SIX_DIGITS.fullmatch(code) else "recovery_code"
    is_right = _use_app(user, code) if kind == "authenticator_app" else _use_recovery(user, code)
    if is_right:
        _record(Action.SECOND_FACTOR_USED, user, f"{kind}:{user}", by)
    return is_right


@transaction.atomic
def use_passkey(passkey: Passkey, count: int, *, by: Actor) -> bool:
    """Note the use of a passkey. Return False where its count was used at the same time."""
    unused = Passkey.objects.filter(pk=passkey.pk, sign_count=passkey.sign_count)
    if not unused.update(sign_count=count, last_used_at=timezone.now()):
        return False
    subject = f"passkey:{passkey.name} of {passkey.user}"
    _record(Action.SECOND_FACTOR_USED, passkey.user, subject, by)
    return True


@transaction.atomic
def reset_second_factor(user: User, *, by: Actor) -> int:
    """Remove all second factors of a person and end their sessions.

    Return the number of second factors. A device that was lost may hold a session.
    """
    count = len(factors_of(user))
    for model in (AuthenticatorApp, Passkey, RecoveryCode):
        model._default_manager.filter(user=user).delete()
    Session.objects.filter(opensession__user=user).delete()
    _record(Action.SECOND_FACTOR_RESET, user, f"user:{user}", by)
    unlock(username=locked_name(user))
    return count


@transaction.atomic
def link_identity(
    user: User, issuer: str, subject: str, *, follows_groups: bool, by: Actor
) -> Identity:
    """Let an account of the OpenID provider sign in as this person."""
    identity = Identity.objects.create(
        user=user, issuer=issuer, subject=subject, follows_groups=follows_groups
    )
    _record(Action.IDENTITY_LINKED, user, f"user:{user}", by)
    return identity


@transaction.atomic
def end_session(session: OpenSession, *, by: Actor) -> None:
    session.session.delete()
    _record(Action.SESSION_ENDED, session.user, f"user:{session.user}", by)


def locked_name(user: User) -> str:
    """Return the name under which django-axes counts a person's wrong second factors."""
    return typed_name(HttpRequest(), {"username": user.get_username(), FACTOR: True})


def _use_app(user: User, code: str) -> bool:
    app = AuthenticatorApp.objects.filter(user=user).first()
    if app is None:
        return False
    try:
        secret = secrets_cipher().decrypt(bytes(app.secret)).decode()
    except InvalidToken:
        logger.error("an authenticator app is of another LESIONSERVE_SECRET_KEY: reset it")
        return False
    step = totp.step_of(secret, code)
    if step is None:
        return False
    unused = AuthenticatorApp.objects.filter(pk=app.pk, last_step__lt=step)
    return bool(unused.update(last_step=step, last_used_at=timezone.now()))


def _use_recovery(user: User, code: str) -> bool:
    count, _ = RecoveryCode.objects.filter(user=user, digest=digest_of(code)).delete()
    return count == 1


def _forget_codes_without_factor(user: User) -> None:
    if not factors_of(user):
        RecoveryCode.objects.filter(user=user).delete()


def _record(action: Event.Action, user: User, subject: str, by: Actor) -> None:
    record_event(action, by, Member.objects.organisation_of(user), subject)
