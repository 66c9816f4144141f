"""What django-axes counts of people who fail to sign in, and what it locks."""

from typing import Any

from django.http import HttpRequest
from django.utils.crypto import salted_hmac

# A credential by this name is a second factor: the person's password was right.
FACTOR = "factor"

Credentials = dict[str, Any]


def typed_name(request: HttpRequest, credentials: Credentials | None = None) -> str:
    """Return the name under which django-axes counts failures: a keyed hash of the typed name.

    axes stores that name, and sooner or later somebody types a password into the name field.
    Second factors are counted apart from passwords.
    """
    credentials = credentials or {"username": request.POST.get("username")}
    name = credentials.get("username") or ""
    salt = "gateway.people.lockout" + (f".{FACTOR}" if FACTOR in credentials else "")
    return salted_hmac(salt, name, algorithm="sha256").hexdigest()


def lockout_parameters(
    request: HttpRequest, credentials: Credentials | None = None
) -> list[list[str]]:
    """Return what is locked after too many failures.

    Passwords by name and address together: nobody can lock out a person at another address, nor a
    whole hospital behind one address. Second factors by name alone: only who knows the password
    gets there, and many addresses must not get many guesses.
    """
    if credentials is not None and FACTOR in credentials:
        return [["username"]]
    return [["username", "ip_address"]]
