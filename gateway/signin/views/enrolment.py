"""Adding second factors: by people who are signed in, or who cannot sign in without one."""

from dataclasses import dataclass

from django.contrib.auth.models import User
from django.core.handlers.asgi import ASGIRequest
from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from gateway.audit.events import actor_of
from gateway.errors import Forbidden
from gateway.problems import problem_http_response
from gateway.signin import passkeys, totp
from gateway.signin.actions import add_app, add_passkey, make_recovery_codes, secrets_cipher
from gateway.signin.factors import factors_of
from gateway.signin.pending import Pending, keep_shortly, kept_shortly, pending_of, take_shortly
from gateway.signin.steps import arrive, begin_session, is_fresh
from gateway.signin.views.passkeys import credential_of, require_second_factors
from gateway.signin.views.sign_in import prove_again

_NEW_APP = "signin.new_app"
_NEW_PASSKEY = "signin.new_passkey"


@dataclass(frozen=True, slots=True)
class _Holder:
    """The person who adds a second factor. pending: their sign-in, if it waits for that."""

    user: User
    pending: Pending | None


@require_safe
def enrolment(request: HttpRequest) -> HttpResponse:
    """Offer the second factors to a person whose role needs one."""
    require_second_factors()
    holder = _holder(request)
    if holder is None or holder.pending is None:
        return redirect("sign-in")
    return render(request, "signin/enrolment.html", {"person": holder.user})


@require_http_methods(["GET", "HEAD", "POST"])
def new_app(request: HttpRequest) -> HttpResponse:
    """Show the QR code of a new authenticator app, and add the app by its first code."""
    require_second_factors()
    holder = _holder(request)
    if holder is None:
        return prove_again(request, request.path)
    if factors_of(holder.user).app is not None:
        return redirect("account")
    kept = kept_shortly(request, _NEW_APP) if request.method == "POST" else None
    secret = totp.new_secret() if kept is None else _decrypted(kept["secret"])
    if kept is not None:
        code = "".join(request.POST.get("code", "").split())
        step = totp.step_of(secret, code)
        if step is not None:
            request.session.pop(_NEW_APP)
            try:
                add_app(holder.user, secret, step, by=actor_of(request, holder.user))
            except IntegrityError:  # another window was faster
                return redirect("account")
            return _added(request, holder)
    else:
        encrypted = secrets_cipher().encrypt(secret.encode()).decode()
        keep_shortly(request, _NEW_APP, {"secret": encrypted})
    address = totp.address_of(secret, holder.user.get_username())
    context = {
        "person": holder.user,
        "secret": " ".join(secret[start : start + 4] for start in range(0, len(secret), 4)),
        "qr_code": totp.qr_code_of(address),
        "refused": _("This code is wrong. Mind that it changes every half minute.")
        if request.method == "POST"
        else "",
    }
    return render(request, "signin/new_app.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def new_passkey(request: HttpRequest) -> HttpResponse:
    """Add a passkey, which the browser has made for the challenge of `new_passkey_options`."""
    require_second_factors()
    holder = _holder(request)
    if holder is None:
        return prove_again(request, request.path)
    words = ""
    if request.method == "POST":
        kept = take_shortly(request, _NEW_PASSKEY)
        name = request.POST.get("name", "").strip()[:60]
        try:
            if kept is None or not name.isprintable() or not name:
                raise passkeys.InvalidPasskey
            answer = credential_of(request)
            new = passkeys.complete_registration(request, kept["state"], answer)
            add_passkey(holder.user, name, new, by=actor_of(request, holder.user))
        except (passkeys.InvalidPasskey, IntegrityError):
            words = _("The passkey was not accepted. Give it a name, and try again.")
        else:
            return _added(request, holder)
    context = {"person": holder.user, "refused": words}
    return render(request, "signin/new_passkey.html", context)


@require_POST
def new_passkey_options(request: ASGIRequest) -> HttpResponse:
    """Return the challenge for a new passkey."""
    require_second_factors()
    holder = _holder(request)
    if holder is None:
        return problem_http_response(Forbidden("Sign in again, and then add the passkey."), request)
    known = factors_of(holder.user).passkeys
    options, state = passkeys.begin_registration(request, holder.user, known)
    keep_shortly(request, _NEW_PASSKEY, {"state": state})
    return JsonResponse({"publicKey": options})


def _holder(request: HttpRequest) -> _Holder | None:
    """Return who may add a second factor; None where they have to sign in first, or again.

    With a password alone nobody adds a second factor to an account that has one.
    """
    if request.user.is_authenticated:
        return _Holder(request.user, None) if is_fresh(request) else None
    pending = pending_of(request)
    if pending is None or factors_of(pending.user):
        return None
    return _Holder(pending.user, pending)


def _added(request: HttpRequest, holder: _Holder) -> HttpResponse:
    """Complete a sign-in that waited for this, and show recovery codes with the first factor."""
    user, address = holder.user, reverse("account")
    if holder.pending is not None:
        begin_session(request, user, holder.pending.proved_at)
        address = arrive(user, holder.pending.next).url
    if factors_of(user).codes_left:
        return redirect(address)
    codes = make_recovery_codes(user, by=actor_of(request, user))
    return render(request, "signin/recovery_codes.html", {"codes": codes, "address": address})


def _decrypted(secret: str) -> str:
    return secrets_cipher().decrypt(secret.encode()).decode()
