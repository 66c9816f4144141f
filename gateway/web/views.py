from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import LogoutView
from django.core.handlers.asgi import ASGIRequest
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.translation import get_language, gettext_noop, override
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt, ensure_csrf_cookie
from django.views.decorators.http import require_safe
from django.views.i18n import JavaScriptCatalog

from gateway.database import in_database
from gateway.errors import Forbidden
from gateway.frames import render_framable
from gateway.problems import problem_http_response
from gateway.web.visitor import visitor_of

# Scenes of weights/recipe, which shows how they were made.
EXAMPLES = [f"web/examples/synthetic-{number}.jpg" for number in range(1, 5)]

_LANGUAGES = frozenset(code for code, _name in settings.LANGUAGES)
_catalog = JavaScriptCatalog.as_view(packages=["gateway"])


class SignOut(LogoutView):
    http_method_names = ["post"]


def forged(request: ASGIRequest, reason: str = "") -> HttpResponse:
    """Answer a form that lacks the CSRF token of its page (CSRF_FAILURE_VIEW)."""
    error = Forbidden(
        gettext_noop(
            "The form was not accepted, because its page is out of date. Load the page again."
        )
    )
    return problem_http_response(error, request)


@never_cache
@ensure_csrf_cookie  # the script shows it when a signed-in person sends an image
@csrf_exempt  # reads no form: another method gets 405, not a CSRF failure
@require_safe
async def page(request: HttpRequest) -> HttpResponseBase:
    """Return the clinician's page. It holds nothing of a patient: its script calls /predict/."""
    visitor = await in_database(visitor_of, request)
    return render_framable(request, "web/page.html", {"visitor": visitor})


@never_cache
@csrf_exempt  # reads no form: another method gets 405, not a CSRF failure
@require_safe
def public_demo(request: HttpRequest) -> HttpResponseBase:
    """Return the page of a public demo, which sets no cookie: every visitor uses its one key.

    `?language=` chooses its language; otherwise it is that of the browser.
    """
    asked = request.GET.get("language", "")
    language = asked if asked in _LANGUAGES else get_language()
    context = {"demo_key": settings.PUBLIC_DEMO_KEY, "examples": EXAMPLES}
    with override(language):
        response = render_framable(request, "web/page.html", context)
    response["Content-Language"] = language
    return response


@require_safe
def messages(request: HttpRequest, language: str) -> HttpResponseBase:
    """Return the texts of the pages' scripts: django.catalog, with gettext() and ngettext().

    The address names the language, so that a page never gets the texts of another one.
    """
    if language not in _LANGUAGES:
        raise Http404
    with override(language):
        response = _catalog(request)
    response["Content-Language"] = language
    return response


@never_cache
@login_required
@require_safe
def signed_in(request: HttpRequest) -> HttpResponse:
    """Return the page that ends a sign-in in a tab of its own: it tells the tab that waits."""
    return render(request, "web/signed_in.html")


@never_cache
@csrf_exempt  # reads no form: another method gets 405, not a CSRF failure
@require_safe
async def session(request: HttpRequest) -> HttpResponse:
    """Return the name of the signed-in person, or null.

    An open page asks this to notice that its session ended or belongs to another person now.
    """
    visitor = await in_database(visitor_of, request)
    return JsonResponse({"user": None if visitor is None else visitor.name})
