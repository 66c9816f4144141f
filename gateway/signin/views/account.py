"""The account page: how a person signs in, their language and their sessions."""

from django.conf import settings
from django.contrib.auth.models import User
from django.core.handlers.asgi import ASGIRequest
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from gateway.audit.events import actor_of
from gateway.people.models import Member
from gateway.people.roles import titles_of
from gateway.signin.actions import end_session, make_recovery_codes, remove_app, remove_passkey
from gateway.signin.factors import factors_of, is_required
from gateway.signin.landing import landing_of
from gateway.signin.models import OpenSession
from gateway.signin.sessions import note_session, sessions_of
from gateway.signin.steps import is_fresh
from gateway.signin.views.passkeys import require_second_factors
from gateway.signin.views.sign_in import prove_again, provider_name


@require_safe
def account(request: HttpRequest) -> HttpResponse:
    """Show a person their account."""
    if not request.user.is_authenticated:
        return prove_again(request, request.path)
    return _page(request, request.user)


@require_POST
def remove_factor(request: ASGIRequest) -> HttpResponse:
    """Remove a second factor: the app, or the passkey of the form's number."""
    require_second_factors()
    if not request.user.is_authenticated or not is_fresh(request):
        return prove_again(request, reverse("account"))
    user = request.user
    factors = factors_of(user)
    if len(factors) == 1 and is_required(user):
        words = _("Your role needs a second factor: add another one before you remove this one.")
        return _page(request, user, words)
    by = actor_of(request)
    number = request.POST.get("passkey", "")
    if number:
        passkey = next((key for key in factors.passkeys if str(key.pk) == number), None)
        if passkey is None:
            raise Http404
        remove_passkey(passkey, by=by)
    elif factors.app is not None:
        remove_app(factors.app, by=by)
    return redirect("account")


@require_POST
def new_recovery_codes(request: HttpRequest) -> HttpResponse:
    """Show new recovery codes, in place of the earlier ones."""
    require_second_factors()
    if not request.user.is_authenticated or not is_fresh(request):
        return prove_again(request, reverse("account"))
    if not factors_of(request.user):
        return redirect("account")
    codes = make_recovery_codes(request.user, by=actor_of(request))
    context = {"codes": codes, "address": reverse("account")}
    return render(request, "signin/recovery_codes.html", context)


@require_POST
def end_own_session(request: HttpRequest, number: int) -> HttpResponse:
    """End another session of the same person."""
    if not request.user.is_authenticated:
        return prove_again(request, reverse("account"))
    session = get_object_or_404(OpenSession, pk=number, user=request.user)
    if session.session_id != request.session.session_key:
        end_session(session, by=actor_of(request))
    return redirect("account")


def _page(request: HttpRequest, user: User, refused: str = "") -> HttpResponse:
    note_session(request, user)  # Django's own change of password gives the session another key
    sessions = sessions_of(user)
    context = {
        "refused": refused,
        "organisation": Member.objects.organisation_of(user),
        "roles": titles_of(user.groups.order_by("name").values_list("name", flat=True)),
        "has_second_factors": settings.SECOND_FACTOR,
        "factors": factors_of(user),
        "is_required": is_required(user),
        "provider": _provider_of(user),
        "sessions": sessions,
        "own_key": request.session.session_key,
        "home": landing_of(user),
    }
    return render(request, "signin/account.html", context)


def _provider_of(user: User) -> str | None:
    """Return the name of the provider with which the person signs in."""
    if settings.OPENID is None:
        return None
    is_linked = user.identities.filter(issuer=settings.OPENID.issuer).exists()
    return provider_name(settings.OPENID) if is_linked else None
