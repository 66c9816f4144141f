"""The page between the password and the session, for people with a second factor."""

from axes.handlers.proxy import AxesProxyHandler
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_login_failed
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from gateway.audit.events import actor_of
from gateway.errors import LOCKOUT_S, TooManyRequests
from gateway.people.lockout import FACTOR
from gateway.problems import problem_http_response
from gateway.signin.actions import use_code
from gateway.signin.factors import factors_of
from gateway.signin.pending import Pending, pending_of
from gateway.signin.steps import go_on
from gateway.signin.views.passkeys import accepted_passkey, require_second_factors


@require_http_methods(["GET", "HEAD", "POST"])
def second_factor(request: ASGIRequest) -> HttpResponse:
    """Ask for a second factor, and complete the sign-in with it."""
    require_second_factors()
    pending = pending_of(request)
    if pending is None:
        return redirect("sign-in")
    if request.method == "POST":
        if not AxesProxyHandler.is_allowed(request, _credentials(pending.user)):
            error = TooManyRequests("Too many attempts; wait before the next.", LOCKOUT_S)
            return problem_http_response(error, request)
        if _is_right(request, pending):
            return go_on(
                request,
                pending.user,
                pending.next,
                has_second_factor=True,
                proved_at=pending.proved_at,
            )
        words = _("That was not accepted. A code is valid for half a minute, and once.")
    else:
        words = ""
    context = {"refused": words, "factors": factors_of(pending.user), "person": pending.user}
    return render(request, "signin/second_factor.html", context)


def _is_right(request: ASGIRequest, pending: Pending) -> bool:
    if "credential" in request.POST:
        return accepted_passkey(request, pending.user) is not None
    by = actor_of(request, pending.user)
    if use_code(pending.user, request.POST.get("code", ""), by=by):
        return True
    # django-axes counts it, and the trail has its event.
    user_login_failed.send(__name__, credentials=_credentials(pending.user), request=request)
    return False


def _credentials(user: User) -> dict[str, str]:
    return {"username": user.get_username(), FACTOR: "code"}
