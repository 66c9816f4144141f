from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe


@require_safe
async def page(request: HttpRequest) -> HttpResponse:
    """The clinician's page. It holds nothing of a patient: its script calls /predict/."""
    return render(request, "web/page.html")
