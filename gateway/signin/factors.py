from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth.models import User

from gateway.role_names import ROLE_NAMES
from gateway.signin.models import AuthenticatorApp, Passkey, RecoveryCode


@dataclass(frozen=True, slots=True)
class Factors:
    """The second factors of a person. Recovery codes are none by themselves."""

    app: AuthenticatorApp | None
    passkeys: list[Passkey]
    codes_left: int

    def __len__(self) -> int:
        return len(self.passkeys) + (self.app is not None)


def factors_of(user: User) -> Factors:
    return Factors(
        AuthenticatorApp.objects.filter(user=user).first(),
        list(Passkey.objects.filter(user=user)),
        RecoveryCode.objects.filter(user=user).count(),
    )


def is_required(user: User) -> bool:
    """Return whether the person needs a second factor, by the settings.

    A superuser needs one where any role does. Where all roles do, so does a person without a role.
    """
    required = settings.REQUIRE_SECOND_FACTOR
    if not required:
        return False
    if user.is_superuser or required == set(ROLE_NAMES):
        return True
    return user.groups.filter(name__in=required).exists()
