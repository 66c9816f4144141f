from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt, ensure_csrf_cookie
from django.views.decorators.http import require_safe


class SignIn(LoginView):
    """Where a person signs in. Django changes the session's key then, and checks `next`."""

    template_name = "web/login.html"
    redirect_authenticated_user = True


class SignOut(LogoutView):
    http_method_names = ["post"]


@ensure_csrf_cookie  # the script shows it when a signed-in person sends an image
@csrf_exempt  # takes no form: another method is 405, not a forgery
@require_safe
async def page(request: HttpRequest) -> HttpResponse:
    """The clinician's page. It holds nothing of a patient: its script calls /predict/."""
    person = await request.auser()
    return render(request, "web/page.html", {"person": person if person.is_authenticated else None})
