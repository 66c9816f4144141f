"""The sessions that people have open, as their account page lists them."""

import re

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from gateway.addresses import address_of_request
from gateway.signin.models import OpenSession

# In this order: Edge and Opera name Chrome as well, and Chrome names Safari.
_BROWSERS = (
    (re.compile("Edg(A|iOS)?/"), "Edge"),
    (re.compile("OPR/"), "Opera"),
    (re.compile("(Firefox|FxiOS)/"), "Firefox"),
    (re.compile("(Chrome|CriOS)/"), "Chrome"),
    (re.compile("Safari/"), "Safari"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


def note_session(request: HttpRequest, user: User) -> None:
    """List the request's session among those of the person."""
    if request.session.session_key is None:
        request.session.create()
    OpenSession.objects.get_or_create(
        session_id=request.session.session_key,
        defaults={
            "user": user,
            "address": address_of_request(request),
            "browser": browser_of(request.headers.get("User-Agent", "")),
        },
    )


def sessions_of(user: User) -> QuerySet[OpenSession]:
    """Return the person's sessions that have not expired."""
    return OpenSession.objects.filter(user=user, session__expire_date__gt=timezone.now())


def browser_of(user_agent: str) -> str:
    """Return the browser and the system of a User-Agent, such as `Firefox, Windows`; else ""."""
    browser = next((name for mark, name in _BROWSERS if mark.search(user_agent)), "")
    system = next((name for mark, name in _SYSTEMS if mark in user_agent), "")
    return ", ".join(part for part in (browser, system) if part)
