from typing import Any

from django.http import HttpRequest
from django.utils.crypto import salted_hmac


def typed_name(request: HttpRequest, credentials: dict[str, Any] | None = None) -> str:
    """By what axes counts wrong passwords: a keyed hash of the name, which it writes down.

    Sooner or later the name that was typed is somebody's password.
    """
    name = (credentials or request.POST).get("username") or ""
    return salted_hmac("gateway.people.lockout", name, algorithm="sha256").hexdigest()
