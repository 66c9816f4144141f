"""Passkeys at sign-in: the challenge, and signing in without a password."""

import json
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.handlers.asgi import ASGIRequest
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from gateway.access.metrics import REFUSED_CREDENTIALS
from gateway.addresses import address_of_request
from gateway.audit.events import Actor, actor_of, record_event
from gateway.audit.models import Event
from gateway.people.backends import PeopleBackend
from gateway.signin import passkeys
from gateway.signin.actions import use_passkey
from gateway.signin.factors import factors_of
from gateway.signin.models import Passkey
from gateway.signin.pending import keep_shortly, pending_of, take_shortly
from gateway.signin.steps import go_on, safe_next
from gateway.signin.views.sign_in import sign_in_context

_CHALLENGE = "signin.passkey"


@require_POST
def passkey_options(request: HttpRequest) -> JsonResponse:
    """Return a challenge: for a passkey of the person who waits for a second factor, or for any."""
    require_second_factors()
    pending = pending_of(request)
    known = [] if pending is None else factors_of(pending.user).passkeys
    options, state = passkeys.begin_authentication(request, known)
    keep_shortly(request, _CHALLENGE, {"state": state})
    return JsonResponse({"publicKey": options})


@require_POST
def sign_in_by_passkey(request: ASGIRequest) -> HttpResponse:
    """Sign in with a passkey, which is both factors."""
    require_second_factors()
    passkey = accepted_passkey(request)
    if passkey is None:
        words = _("This passkey is not known here, or it was not accepted. Sign in another way.")
        return render(request, "web/login.html", {"refused": words, **sign_in_context(request)})
    return go_on(request, passkey.user, safe_next(request), has_second_factor=True)


def accepted_passkey(request: HttpRequest, owner: User | None = None) -> Passkey | None:
    """Return the passkey that signed this session's challenge, and note its use.

    owner: the person whose it has to be; None for anybody. Return None for any other passkey: the
    refusal is in the trail. A signature cannot be guessed, so nothing is locked.
    """
    kept = take_shortly(request, _CHALLENGE)
    try:
        if kept is None:
            raise passkeys.InvalidPasskey
        answer = credential_of(request)
        passkey, count = passkeys.complete_authentication(request, kept["state"], answer)
        if owner is not None and passkey.user != owner:
            raise passkeys.InvalidPasskey
        if not PeopleBackend().user_can_authenticate(passkey.user):
            raise passkeys.InvalidPasskey
        if not use_passkey(passkey, count, by=actor_of(request, passkey.user)):
            raise passkeys.InvalidPasskey
    except passkeys.InvalidPasskey:
        _record_refusal(request)
        return None
    return passkey


def credential_of(request: HttpRequest) -> dict[str, Any]:
    """Return the browser's answer, a PublicKeyCredential as JSON. Raise InvalidPasskey."""
    try:
        answer = json.loads(request.POST.get("credential", ""))
    except ValueError as error:
        raise passkeys.InvalidPasskey from error
    if not isinstance(answer, dict):
        raise passkeys.InvalidPasskey
    return answer


def require_second_factors() -> None:
    """Raise Http404 where the settings have no second factors."""
    if not settings.SECOND_FACTOR:
        raise Http404


def _record_refusal(request: HttpRequest) -> None:
    REFUSED_CREDENTIALS.inc()
    by = Actor("unknown", address_of_request(request))
    record_event(Event.Action.SESSION_REFUSED, by, None, "passkey:unknown")
