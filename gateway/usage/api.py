import csv
import io
from datetime import date, datetime
from typing import Literal
from uuid import UUID

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse
from ninja import Router
from ninja.security import APIKeyHeader
from pydantic import BaseModel, ConfigDict

from gateway.access.auth import authenticate, authorise
from gateway.access.caller import Caller
from gateway.addresses import address_of
from gateway.audit.events import Actor, record_event
from gateway.audit.models import Event, Record
from gateway.database import in_database
from gateway.errors import NotFound
from gateway.people.scopes import READ_USAGE
from gateway.query import described, pairs
from gateway.usage.cells import safe_cell
from gateway.usage.period import Period
from gateway.usage.summary import Summary, rows, summarise
from pipeline.http.query import read_query
from pipeline.schemas import PredictOptions, Problem

_REFUSALS = dict.fromkeys((400, 401, 403, 405, 429, 503), Problem)


class AuthenticatedRequest(ASGIRequest):
    """A request that UsageAuth has authenticated; Ninja adds its caller."""

    auth: Caller


class UsageAuth(APIKeyHeader):
    """The authentication of a key or a signed-in person with the scope to read usage."""

    param_name = "X-API-Key"

    async def authenticate(self, request: HttpRequest, key: str | None) -> Caller:
        assert isinstance(request, ASGIRequest)
        caller = await authenticate(request.scope)
        await authorise(request.scope, caller, READ_USAGE)
        return caller


class UsageQuery(Period):
    format: Literal["json", "csv"] = "json"


class RecordView(BaseModel):
    """A request's record, as its organisation may read it."""

    model_config = ConfigDict(from_attributes=True)

    request_id: UUID
    correlation_id: str
    source: str
    state: str
    status: int | None
    error_code: str
    key_id: str
    user: str
    received_at: datetime
    finished_at: datetime | None
    latency_ms: float | None
    attempts: int
    replayed: bool
    body_bytes: int | None
    image_bytes: int | None
    image_sha256: str
    image_format: str
    image_width: int | None
    image_height: int | None
    model_name: str
    model_version: str
    model_engine: str
    model_precision: str
    bundle_sha256: str
    model_score_threshold: float | None
    model_software: dict[str, str] | None
    options: PredictOptions | None
    ungradable_reasons: list[str] | None
    detection_count: int | None
    below_threshold: int | None
    class_counts: dict[str, int]
    score_counts: list[int]
    day: date | None
    position: int | None
    seal: str


router = Router(tags=["usage"])


@router.get(
    "/usage/",
    auth=UsageAuth(),
    response={200: Summary, **_REFUSALS},
    openapi_extra={
        "parameters": described(UsageQuery),
        "responses": {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
    },
    operation_id="usage",
    summary="What your organisation used",
)
async def usage(request: AuthenticatedRequest) -> Summary | HttpResponse:
    """Return the number of requests by day, caller, outcome, image type and model version.

    Also detections by class, scores and percentiles of the latency. As CSV: one line for each
    count, with its day, caller, dimension and value.
    """
    period = read_query(pairs(request.GET), UsageQuery)
    caller = request.auth
    days = f"{period.first} to {period.last}"
    await in_database(_record_reading, request, caller, Event.Action.USAGE_READ, days)
    if period.format == "csv":
        counts = await in_database(rows, caller.organisation, period.first, period.last)
        return _csv(counts)
    return await in_database(summarise, caller.organisation, period.first, period.last)


@router.get(
    "/records/{uuid:request_id}",
    auth=UsageAuth(),
    response={200: RecordView, 404: Problem, **_REFUSALS},
    operation_id="record",
    summary="The record of one request",
)
async def record(request: AuthenticatedRequest, request_id: UUID) -> RecordView:
    caller = request.auth
    await in_database(
        _record_reading, request, caller, Event.Action.RECORD_READ, f"record:{request_id}"
    )
    row = await in_database(
        Record.objects.filter(request_id=request_id, organisation=caller.organisation).first
    )
    if row is None:
        raise NotFound("There is no such record.")
    return RecordView.model_validate(row)


def _record_reading(
    request: ASGIRequest, caller: Caller, action: Event.Action, subject: str
) -> None:
    actor = Actor(caller.name, address_of(request.scope))
    record_event(action, actor, caller.organisation, subject)


def _csv(counts: list[tuple[date, str, str, str, int, str]]) -> HttpResponse:
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow(["day", "caller", "dimension", "value", "count", "caller_name"])
    writer.writerows(
        [day, safe_cell(caller), dimension, safe_cell(value), count, safe_cell(name)]
        for day, caller, dimension, value, count, name in counts
    )
    return HttpResponse(
        written.getvalue(),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="usage.csv"'},
    )
