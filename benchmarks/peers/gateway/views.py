from hashlib import sha256
from time import perf_counter
from uuid import uuid4

import requests
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from benchmarks.peers.document.forwarding import forward
from benchmarks.peers.gateway.models import ApiKey, AuditRow

_http = requests.Session()  # keeps its connection; a synchronous worker has one request at a time


@csrf_exempt
def predict(request: HttpRequest) -> HttpResponse:
    """Return the inference service's answer, and write one audit row."""
    began = perf_counter()
    row = AuditRow(at=timezone.now(), request_id=uuid4().hex)
    response = _answer(request, row)
    row.status = response.status_code
    row.duration_ms = 1000 * (perf_counter() - began)
    row.save(force_insert=True)
    response["X-Request-ID"] = row.request_id
    return response


def healthz(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=200 if ApiKey.objects.exists() else 503)


def _answer(request: HttpRequest, row: AuditRow) -> HttpResponse:
    digest = sha256(request.headers.get("X-API-Key", "").encode()).hexdigest()
    key = ApiKey.objects.filter(sha256=digest).first()
    if key is None:
        return JsonResponse({"detail": "no such API key"}, status=401)
    row.client = key.client
    upload = request.FILES.get("file")
    if upload is None:
        return JsonResponse({"detail": "there is no file"}, status=400)
    row.image_sha256 = sha256(upload.read()).hexdigest()
    upload.seek(0)
    try:
        answer = forward(upload, _http)
    except requests.RequestException:
        return JsonResponse({"detail": "the model does not answer"}, status=502)
    return HttpResponse(
        answer.content, status=answer.status_code, content_type=answer.headers["Content-Type"]
    )
