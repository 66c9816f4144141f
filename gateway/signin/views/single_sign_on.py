"""Single sign-on: the way to the OpenID provider, and the way back."""

from functools import lru_cache
from time import time

import structlog
from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from gateway.access.metrics import REFUSED_CREDENTIALS
from gateway.addresses import address_of_request
from gateway.audit.events import Actor, record_event
from gateway.audit.models import Event
from gateway.sign_in_variables import OpenIdSettings
from gateway.signin.identities import NotLetIn, has_second_factor, person_of
from gateway.signin.openid import Attempt, Claims, Provider, ProviderUnavailable, SignInRefused
from gateway.signin.pending import keep_shortly, kept_shortly, take_shortly
from gateway.signin.steps import FRESH_S, go_on, safe_next
from gateway.signin.views.sign_in import AGAIN, provider_name, sign_in_context

logger = structlog.stdlib.get_logger(__name__)

_ATTEMPT = "signin.openid"
_RETURNED = "returned"  # in the query of the second request of the way back


@require_safe
def single_sign_on(request: ASGIRequest) -> HttpResponse:
    """Send the browser to the provider.

    A link leads here, not a form: browsers apply the policy `form-action` to where a form's answer
    redirects, too. Nothing happens here that a foreign page could misuse by linking to it.
    """
    openid, attempt, anew = _settings(), Attempt.begin(), AGAIN in request.GET
    try:
        address = _provider(openid).address(attempt, _callback(request), anew=anew)
    except ProviderUnavailable as error:
        return _unavailable(request, error)
    kept = {"state": attempt.state, "nonce": attempt.nonce, "verifier": attempt.verifier}
    keep_shortly(request, _ATTEMPT, {**kept, "anew": anew, "next": safe_next(request)})
    return redirect(address)


@require_safe
def single_sign_on_callback(request: ASGIRequest) -> HttpResponse:
    """Sign in whom the provider sends back.

    The browser comes from another site, so it does not show the session's cookie, which is
    `SameSite=Strict`. The first answer is a page that requests the same address again: that request
    comes from this site, and shows the cookie.
    """
    openid = _settings()
    if _RETURNED not in request.GET:
        again = request.GET.copy()
        again[_RETURNED] = "1"
        return render(request, "signin/returned.html", {"address": f"?{again.urlencode()}"})
    if not _is_of_this_session(request):
        return _refused(request, _("The sign-in took too long, or began in another window."))
    kept = take_shortly(request, _ATTEMPT)
    assert kept is not None
    if "code" not in request.GET:
        logger.warning("the provider ended a sign-in", error=request.GET.get("error", "")[:100])
        return _refused(request, _("The sign-in was cancelled, or the provider refused it."))
    attempt = Attempt(kept["state"], kept["nonce"], kept["verifier"])
    try:
        claims = _provider(openid).claims(request.GET["code"], attempt, _callback(request))
    except ProviderUnavailable as error:
        return _unavailable(request, error)
    except SignInRefused as error:
        logger.warning("a sign-in at the provider is not valid", reason=str(error))
        return _refused(request, _("The provider's answer is not valid. Try again."))
    proved_at = _proved_at(claims)
    if kept["anew"] and time() - proved_at > FRESH_S:
        words = _(
            "The provider did not ask you again, or does not say so. Ask your operator to change "
            "your second factor."
        )
        return _refused(request, words)
    return _let_in(request, claims, openid, kept["next"])


def _let_in(
    request: HttpRequest, claims: Claims, openid: OpenIdSettings, next_: str
) -> HttpResponse:
    try:
        user = person_of(claims, openid, address_of_request(request))
    except NotLetIn as error:
        logger.warning("single sign-on is refused", reason=str(error), subject=claims["sub"])
        words = _(
            "You are known at %(provider)s, but not let in here. Ask your operator for an account."
        )
        return _refused(
            request, words % {"provider": provider_name(openid)}, f"identity:{claims['sub']}"
        )
    return go_on(
        request,
        user,
        next_,
        has_second_factor=has_second_factor(claims, openid),
        proved_at=_proved_at(claims),
    )


def _proved_at(claims: Claims) -> float:
    """Return when the person typed their password at the provider; 0 where it does not tell."""
    auth_time = claims.get("auth_time")
    return float(auth_time) if isinstance(auth_time, int | float) else 0.0


def _is_of_this_session(request: HttpRequest) -> bool:
    kept = kept_shortly(request, _ATTEMPT)
    return kept is not None and kept["state"] == request.GET.get("state")


def _refused(request: HttpRequest, words: str, subject: str = "") -> HttpResponse:
    REFUSED_CREDENTIALS.inc()
    by = Actor("unknown", address_of_request(request))
    record_event(Event.Action.IDENTITY_REFUSED, by, None, subject)
    return render(request, "web/login.html", {"refused": words, **sign_in_context(request)})


def _unavailable(request: HttpRequest, error: ProviderUnavailable) -> HttpResponse:
    logger.error("the OpenID provider cannot be used", reason=str(error))
    words = _("The provider of the single sign-on cannot be reached. Try again in a few minutes.")
    return render(request, "web/login.html", {"refused": words, **sign_in_context(request)})


def _settings() -> OpenIdSettings:
    openid: OpenIdSettings | None = settings.OPENID
    if openid is None:
        raise Http404
    return openid


@lru_cache(maxsize=1)
def _provider(openid: OpenIdSettings) -> Provider:
    return Provider(openid)


def _callback(request: HttpRequest) -> str:
    """Return the address that is registered with the provider as `redirect_uri`."""
    return request.build_absolute_uri(reverse("single-sign-on-callback"))
