"""The sign-in page: by password, by passkey or at the OpenID provider."""

from typing import Any

from django.conf import settings
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from gateway.errors import Forbidden
from gateway.problems import problem_http_response
from gateway.sign_in_variables import OpenIdSettings
from gateway.signin.landing import landing_of
from gateway.signin.steps import go_on, safe_next

# In the query of the sign-in page: the signed-in person proves once more who they are.
AGAIN = "again"


class SignIn(LoginView):
    """The sign-in page. Django changes the session's key at sign-in."""

    template_name = "web/login.html"
    http_method_names = ["get", "head", "post"]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.user.is_authenticated and AGAIN not in request.GET:
            return HttpResponseRedirect(safe_next(request) or landing_of(request.user))
        return super().dispatch(request, *args, **kwargs)

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        user = form.get_user()
        assert isinstance(user, User)
        return go_on(self.request, user, safe_next(self.request))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**kwargs) | sign_in_context(self.request)


def sign_in_context(request: HttpRequest) -> dict[str, Any]:
    """Return what the template of the sign-in page needs besides its form."""
    again = {AGAIN: "1"} if AGAIN in request.GET else {}
    next_ = safe_next(request)
    return {
        "next": next_,
        "again": bool(again),
        "has_passkeys": settings.SECOND_FACTOR,
        "only_superusers_have_passwords": settings.PASSWORDS == "superusers",
        "provider": None if settings.OPENID is None else provider_name(settings.OPENID),
        "provider_query": urlencode({"next": next_, **again}),
    }


def provider_name(openid: OpenIdSettings) -> str:
    return openid.name or _("the single sign-on")


def to_sign_in(request: ASGIRequest) -> HttpResponse:
    """Send whoever comes to the admin's own sign-in to that of all people, and back.

    The admin comes here also with people who may not enter it.
    """
    if request.user.is_authenticated:
        error = Forbidden(gettext_noop("The administration is for staff; your account is none."))
        return problem_http_response(error, request)
    return redirect(f"{settings.LOGIN_URL}?{urlencode({'next': safe_next(request)})}")


def prove_again(request: HttpRequest, next_: str) -> HttpResponseRedirect:
    """Send a person, signed in or not, to the sign-in page, and from there to an address."""
    query = {"next": next_}
    if request.user.is_authenticated:
        query[AGAIN] = "1"
    return redirect(f"{settings.LOGIN_URL}?{urlencode(query)}")
