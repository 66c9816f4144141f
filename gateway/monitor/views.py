import hashlib
import hmac

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from pydantic import ValidationError

from gateway.access.auth import limiter_of
from gateway.addresses import address_of, client_of
from gateway.audit.events import Actor, actor_of
from gateway.database import in_database
from gateway.errors import Forbidden, MethodNotAllowed, NotFound
from gateway.http_headers import values
from gateway.monitor.alerts import Notification, keep_alerts
from gateway.monitor.models import WatchAlarm
from gateway.monitor.watch_actions import acknowledge
from gateway.people.models import Member
from gateway.problems import problem_http_response
from pipeline.errors import BadRequest, LesionserveError, Unauthorized
from pipeline.text import few

_MAY_ACKNOWLEDGE = "monitor.change_watchalarm"
_CHALLENGE = 'Bearer realm="lesionserve alerts"'


@csrf_exempt  # no browser sends it, and a session does not open it
async def alerts(request: ASGIRequest) -> HttpResponse:
    """Take a notification of Alertmanager, which sends the token of this webhook."""
    try:
        if settings.ALERTS_TOKEN is None:
            raise NotFound("Alerts are not taken here (LESIONSERVE_ALERTS_TOKEN).")
        if request.method != "POST":
            raise MethodNotAllowed(allow="POST")
        if not _is_alertmanager(request, settings.ALERTS_TOKEN):
            await limiter_of(request.scope).count_failure(client_of(request.scope))
            raise Unauthorized("The token of the alerts is required.", _CHALLENGE)
        notification = _notification(request.body)
        await in_database(
            keep_alerts, notification, Actor("alertmanager", address_of(request.scope))
        )
    except LesionserveError as error:
        return problem_http_response(error, request)
    return HttpResponse(status=204)


def _is_alertmanager(request: ASGIRequest, token: str) -> bool:
    """Return whether the request shows the token; in a time that does not depend on how much."""
    credentials = values(request.scope["headers"], b"authorization")
    scheme, _, shown = credentials[0].partition(" ") if len(credentials) == 1 else ("", "", "")
    digests = [hashlib.sha256(text.encode()).digest() for text in (shown.strip(" \t"), token)]
    return hmac.compare_digest(*digests) and scheme.lower() == "bearer"


def _notification(body: bytes) -> Notification:
    try:
        return Notification.model_validate_json(body, strict=True, extra="ignore")
    except ValidationError as error:
        places = [".".join(map(str, details["loc"])) or "the body" for details in error.errors()]
        raise BadRequest(
            f"This is no notification of Alertmanager, version 4; wrong or missing: {few(places)}."
        ) from None


@require_POST
async def acknowledge_watch(request: ASGIRequest, alarm: int) -> HttpResponse:
    """Acknowledge an alarm of the watch, for people who may, and lead back to the page."""
    try:
        is_signed_in = await in_database(_acknowledge, request, alarm)
    except LesionserveError as error:
        return problem_http_response(error, request)
    return redirect("operations") if is_signed_in else redirect_to_login("/operations")


def _acknowledge(request: ASGIRequest, id: int) -> bool:
    """Return whether somebody is signed in. Raise Forbidden or NotFound; blocking."""
    user = request.user
    if not user.is_authenticated:
        return False
    if not user.has_perm(_MAY_ACKNOWLEDGE):
        raise Forbidden("This needs the role operator or admin; ask your administrator.")
    alarms = WatchAlarm.objects.filter(pk=id)
    if not user.is_superuser:
        alarms = alarms.filter(organisation=Member.objects.organisation_of(user))
    alarm = alarms.first()
    if alarm is None:
        raise NotFound("There is no such alarm.")
    acknowledge(alarm, actor_of(request))  # another person may have been first
    return True
