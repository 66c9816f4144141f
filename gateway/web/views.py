from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import LogoutView
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt, ensure_csrf_cookie
from django.views.decorators.http import require_safe

from gateway.database import in_database
from gateway.errors import Forbidden
from gateway.frames import render_framable
from gateway.problems import problem_http_response
from gateway.web.visitor import visitor_of

# Scenes of weights/recipe, which shows how they were made.
EXAMPLES = [f"web/examples/synthetic-{number}.jpg" for number in range(1, 5)]


class SignOut(LogoutView):
    http_method_names = ["post"]


def forged(request: ASGIRequest, reason: str = "") -> HttpResponse:
    """Answer a form that lacks the CSRF token of its page (CSRF_FAILURE_VIEW)."""
    error = Forbidden(
        "The form was not accepted, because its page is out of date. Load the page again."
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
    """Return the page of a public demo, which sets no cookie: every visitor uses its one key."""
    context = {"demo_key": settings.PUBLIC_DEMO_KEY, "examples": EXAMPLES}
    return render_framable(request, "web/page.html", context)


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
