import asyncio
from functools import partial
from typing import Literal
from uuid import UUID

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse
from ninja import Router
from ninja.security import APIKeyHeader
from pydantic import BaseModel, ConfigDict, Field

from gateway.access.auth import authenticate, authorise
from gateway.access.caller import Caller
from gateway.addresses import address_of
from gateway.audit.events import Actor
from gateway.database import in_database
from gateway.people.scopes import FEEDBACK, READ_USAGE
from gateway.query import described, pairs
from gateway.reviews.actions import give_feedback, read_feedback
from gateway.reviews.feedback import Feedback
from gateway.reviews.metrics import count
from gateway.reviews.of_image import ImageReviews, read_image_reviews
from gateway.reviews.report.pdf import pdf_of
from gateway.reviews.report.report import Language, active_language, read_report
from gateway.reviews.views import FeedbackView
from gateway.usage.api import AuthenticatedRequest
from pipeline.http.query import read_query
from pipeline.schemas import Problem

_READ_REFUSALS = dict.fromkeys((400, 401, 403, 404, 405, 429, 503), Problem)
_REFUSALS = {**_READ_REFUSALS, **dict.fromkeys((408, 409, 411, 413, 422), Problem)}


class GiverAuth(APIKeyHeader):
    """The authentication of a key or a signed-in person with the scope to give feedback."""

    param_name = "X-API-Key"

    async def authenticate(self, request: HttpRequest, key: str | None) -> Caller:
        assert isinstance(request, ASGIRequest)
        caller = await authenticate(request.scope)
        await authorise(request.scope, caller, self.scope_for(caller))
        return caller

    def scope_for(self, caller: Caller) -> str:
        return FEEDBACK


class ReaderAuth(GiverAuth):
    """The authentication of whoever may give feedback, or read records."""

    def scope_for(self, caller: Caller) -> str:
        return READ_USAGE if READ_USAGE in caller.scopes else FEEDBACK


router = Router(tags=["feedback"])


@router.post(
    "/records/{uuid:request_id}/feedback",
    auth=GiverAuth(),
    response={200: FeedbackView, **_REFUSALS},
    operation_id="give_feedback",
    summary="Judge the lesions of an answer",
)
async def give(request: AuthenticatedRequest, request_id: UUID, feedback: Feedback) -> FeedbackView:
    """Accept, reject or relabel lesions of an answer, and name those that it missed.

    Or call the image ungradable, or comment. Each change is a version of its own, which the audit
    trail seals. Sent again, it changes nothing. The record of the answer stays as it is.
    """
    caller = request.auth
    given = await in_database(
        give_feedback, request_id, caller.organisation, feedback, _actor(request)
    )
    count(given.new)
    return given.view


@router.get(
    "/records/{uuid:request_id}/feedback",
    auth=ReaderAuth(),
    response={200: FeedbackView, **_READ_REFUSALS},
    operation_id="feedback",
    summary="What was said about an answer",
)
async def read(request: AuthenticatedRequest, request_id: UUID) -> FeedbackView:
    """Return the verdicts and missed lesions that hold now, of everybody in your organisation."""
    caller = request.auth
    return await in_database(read_feedback, request_id, caller.organisation, _actor(request))


class ImageReviewsQuery(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    image_sha256: str = Field(
        pattern="^[0-9a-f]{64}$", description="of the file as it was sent, as in answers"
    )
    before: UUID | None = Field(
        default=None, description="`next` of the page before: the answers before that request"
    )
    limit: int = Field(default=20, ge=1, le=50, description="answers on a page")


@router.get(
    "/records/feedback",
    auth=ReaderAuth(),
    response={200: ImageReviews, **_READ_REFUSALS},
    openapi_extra={"parameters": described(ImageReviewsQuery)},
    operation_id="image_reviews",
    summary="Who reviewed an image before",
)
async def read_of_image(request: AuthenticatedRequest) -> ImageReviews:
    """Return who in your organisation judged an answer on the same file, and of which model.

    What they said is the feedback on that request: another model's lesions are others.
    """
    asked = read_query(pairs(request.GET), ImageReviewsQuery)
    return await in_database(
        partial(
            read_image_reviews,
            asked.image_sha256,
            request.auth.organisation,
            _actor(request),
            before=asked.before,
            limit=asked.limit,
        )
    )


class ReportQuery(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    language: Literal["auto", Language] = Field(
        default="auto", description="of the report; auto is that of the request, or else English"
    )


@router.get(
    "/records/{uuid:request_id}/report.pdf",
    auth=ReaderAuth(),
    response=_READ_REFUSALS,
    openapi_extra={
        "parameters": described(ReportQuery),
        "responses": {
            200: {
                "description": "OK",
                "content": {"application/pdf": {"schema": {"type": "string", "format": "binary"}}},
            }
        },
    },
    operation_id="report",
    summary="The report on an answer, as PDF",
)
async def report_pdf(request: AuthenticatedRequest, request_id: UUID) -> HttpResponse:
    """Return what was found, by which model, and what was said about it, without the image.

    The service keeps no image. The same record and feedback give the same bytes.
    """
    asked = read_query(pairs(request.GET), ReportQuery).language
    caller = request.auth
    report = await in_database(
        read_report,
        request_id,
        caller.organisation,
        _actor(request),
        active_language() if asked == "auto" else asked,
    )
    document = await asyncio.to_thread(pdf_of, report.content, report.at)
    return HttpResponse(
        document,
        content_type="application/pdf",
        headers={"Content-Disposition": f'inline; filename="report-{request_id}.pdf"'},
    )


def _actor(request: AuthenticatedRequest) -> Actor:
    return Actor(request.auth.name, address_of(request.scope))
