"""The steps of a sign-in: the first factor, the second where one is needed, and the session."""

from time import time

from axes.utils import reset as unlock
from django.conf import settings
from django.contrib.auth import login, logout
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponseRedirect
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme

from gateway.signin import pending
from gateway.signin.actions import locked_name
from gateway.signin.factors import factors_of, is_required
from gateway.signin.landing import landing_of
from gateway.signin.models import Profile
from gateway.signin.sessions import note_session

_BACKEND = "gateway.people.backends.PeopleBackend"
_PROVED_AT = "signin.proved_at"

# Whoever changes second factors has signed in this lately: a desk may be left for a moment.
FRESH_S = 15 * 60


def go_on(
    request: HttpRequest,
    user: User,
    next_: str,
    *,
    has_second_factor: bool = False,
    proved_at: float | None = None,
) -> HttpResponseRedirect:
    """Continue a sign-in whose first factor was right, and return the page that follows.

    proved_at: when the person proved who they are; by default, now.
    """
    proved_at = time() if proved_at is None else proved_at
    if settings.SECOND_FACTOR and not has_second_factor:
        if factors_of(user):
            pending.hold(request, user, next_, proved_at)
            return redirect("second-factor")
        if is_required(user):
            pending.hold(request, user, next_, proved_at)
            return redirect("enrolment")
    begin_session(request, user, proved_at)
    return arrive(user, next_)


def begin_session(request: HttpRequest, user: User, proved_at: float) -> None:
    """Sign the person in, whose factors were all right."""
    if request.user.is_authenticated and request.user != user:
        logout(request)  # writes the event of the other person's session
    pending.forget(request)
    request.session.set_expiry(None)  # that of the settings, in place of a short one
    login(request, user, backend=_BACKEND)
    unlock(username=locked_name(user))
    request.session[_PROVED_AT] = proved_at
    note_session(request, user)


def arrive(user: User, next_: str) -> HttpResponseRedirect:
    """Return the redirect to the address that the person wanted, or to where their role belongs."""
    response = HttpResponseRedirect(next_ or landing_of(user))
    profile = Profile.objects.filter(user=user).first()
    if profile is not None:
        set_language_cookie(response, profile.language)
    return response


def set_language_cookie(response: HttpResponseRedirect, language: str) -> None:
    response.set_cookie(
        settings.LANGUAGE_COOKIE_NAME,
        language,
        max_age=settings.LANGUAGE_COOKIE_AGE,
        secure=settings.LANGUAGE_COOKIE_SECURE,
        httponly=settings.LANGUAGE_COOKIE_HTTPONLY,
        samesite="Strict",
    )


def is_fresh(request: HttpRequest) -> bool:
    """Return whether the signed-in person proved who they are within FRESH_S."""
    proved_at: float = request.session.get(_PROVED_AT, 0.0)
    return time() - proved_at <= FRESH_S


def safe_next(request: HttpRequest) -> str:
    """Return the address of this site that the request names as `next`, or ""."""
    address = request.POST.get("next", request.GET.get("next", ""))
    is_safe = url_has_allowed_host_and_scheme(
        address, {request.get_host()}, require_https=request.is_secure()
    )
    return address if is_safe else ""
