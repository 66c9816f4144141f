from typing import Any

from django.http import HttpRequest
from django.utils.crypto import salted_hmac


def typed_name(request: HttpRequest, credentials: dict[str, Any] | None = None) -> str:
    """Return the name under which django-axes counts wrong passwords: a keyed hash of the typed
    name.

    axes stores that name, and sooner or later somebody types a password into the name field.
    """
    name = (credentials or request.POST).get("username") or ""
    return salted_hmac("gateway.people.lockout", name, algorithm="sha256").hexdigest()
