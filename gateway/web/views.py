from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe


@csrf_exempt  # takes no form: another method is 405, not a forgery
@require_safe
async def page(request: HttpRequest) -> HttpResponse:
    """The clinician's page. It holds nothing of a patient: its script calls /predict/."""
    return render(request, "web/page.html")
