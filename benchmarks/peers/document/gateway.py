"""The usual deployment document's gateway: a synchronous Django view that forwards the upload.

No key, no audit record, no check of the image: less work than lesionserve's gateway does.
"""

import django
import requests
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from benchmarks.peers.document.forwarding import INFERENCE_URL, forward

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="of a benchmark on the loopback address",
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
)


@csrf_exempt
def predict(request: HttpRequest) -> HttpResponse:
    response = forward(request.FILES["file"])
    return JsonResponse(response.json(), status=response.status_code)


def healthz(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=requests.get(f"{INFERENCE_URL}/healthz", timeout=5).status_code)


urlpatterns = [path("predict/", predict), path("healthz", healthz)]

django.setup()
application = WSGIHandler()
