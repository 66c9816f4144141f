"""Which pages other sites may show in a frame (LESIONSERVE_FRAME_ANCESTORS).

It is the clinician's page alone. Whoever frames a page can make a person click on it unawares, so
the pages for signing in, administration and operation are never shown in a frame.
"""

from typing import Any

from csp.constants import NONE
from csp.decorators import csp_replace
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.clickjacking import xframe_options_exempt

PATH = "/"


def frame_ancestors(path: str) -> str:
    """Return the value of `frame-ancestors` for the page at this path."""
    return " ".join(settings.FRAME_ANCESTORS) if path == PATH and settings.FRAME_ANCESTORS else NONE


def render_framable(
    request: HttpRequest, template: str, context: dict[str, Any]
) -> HttpResponseBase:
    """Render a page that the origins of LESIONSERVE_FRAME_ANCESTORS may show in a frame.

    X-Frame-Options is left out for them, since it cannot name an origin.
    """

    def view(request: HttpRequest) -> HttpResponse:
        return render(request, template, context)

    if not settings.FRAME_ANCESTORS:
        return view(request)
    framable = csp_replace({"frame-ancestors": settings.FRAME_ANCESTORS})
    return framable(xframe_options_exempt(view))(request)
