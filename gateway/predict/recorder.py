import asyncio
import json
from copy import copy
from time import perf_counter
from types import TracebackType
from typing import Self

import structlog
from django.db import transaction
from django.utils import timezone

from gateway.access.caller import Caller
from gateway.access.quota import take_quota
from gateway.audit.models import Record, State
from gateway.body import ClientDisconnected
from gateway.context import RequestContext
from gateway.database import IMAGE_WAITS_S, DatabaseUnavailable, in_database
from gateway.errors import TooManyRequests
from gateway.predict import metrics, tracing
from gateway.usage.models import Observation
from gateway.usage.observations import observation_of
from pipeline.errors import LesionserveError, Overloaded
from pipeline.schemas import Prediction
from pipeline.tracing.spans import traced

logger = structlog.stdlib.get_logger(__name__)


class RequestRecorder:
    """The record of one request, from `received` to its final state.

    A context manager: a request that leaves it without `finish` is recorded as aborted, exactly
    once, even where the server cancels it at the same time. It suppresses ClientDisconnected.
    """

    def __init__(self, context: RequestContext, address: str | None = None) -> None:
        self.record = Record(
            request_id=context.request_id,
            address=address,
            correlation_id=context.correlation_id or "",
        )
        self._prediction: Prediction | None = None
        self._examination = ""
        self._started = perf_counter()
        self._finishing: asyncio.Future[LesionserveError | None] | asyncio.Future[None] | None = (
            None
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if self._finishing is None:
            self._finishing = asyncio.ensure_future(self._abort())
        # Shielded: the server may cancel this request at the same time.
        await asyncio.shield(self._finishing)
        return isinstance(error, ClientDisconnected)

    @traced("admit")
    async def admit(self, caller: Caller) -> None:
        """Take the request from its quotas and commit the row as `received`, in one transaction.

        Raise TooManyRequests or DatabaseUnavailable.
        """
        # A copy: after our time limit the database may still finish, while the record goes on
        # changing.
        row = copy(self.record)
        await in_database(_admit, row, caller)
        self.record.pk, self.record._state.adding = row.pk, False

    def set_prediction(self, prediction: Prediction, examination: str) -> None:
        """Set what the request will be answered with, and its examination's key."""
        self.record.set_prediction(prediction)
        self._prediction, self._examination = prediction, examination

    async def finish(self, error: LesionserveError | None) -> LesionserveError | None:
        """Commit the final state, before the answer leaves.

        Return the error to answer with: an answer that cannot be recorded is withheld.
        """
        # A disconnect changes nothing now: this task goes on, and leaving the context waits for it.
        finishing = self._finishing = asyncio.ensure_future(self._finish(error))
        return await asyncio.shield(finishing)

    @traced("record")
    async def _finish(self, error: LesionserveError | None) -> LesionserveError | None:
        self._set_outcome(error)
        if isinstance(error, DatabaseUnavailable):
            self._log_record()
        else:
            try:
                if not await in_database(Record.objects.close, self.record, self._observation()):
                    raise DatabaseUnavailable("The request took too long to be recorded.")
            except DatabaseUnavailable as unavailable:
                error = unavailable
                self._set_outcome(error)
                self._log_record()
        self._log_request()
        return error

    @traced("record")
    async def _abort(self) -> None:
        """Commit that the client disconnected before it was answered."""
        self._set_end(State.ABORTED, None, "")
        try:
            # No client waits any more, whatever the request's time limit was.
            await in_database(Record.objects.close, self.record, within_s=IMAGE_WAITS_S)
        except DatabaseUnavailable:
            self._log_record()
        self._log_request()

    def _observation(self) -> Observation | None:
        if self._prediction is None or self.record.state != State.SUCCEEDED:
            return None
        return observation_of(self.record, self._prediction, self._examination)

    def _set_outcome(self, error: LesionserveError | None) -> None:
        if error is None:
            self._set_end(State.SUCCEEDED, 200, "")
        else:
            self._set_end(_state_after(error), error.status, error.code)

    def _set_end(self, state: State, status: int | None, error_code: str) -> None:
        record = self.record
        record.state, record.status, record.error_code = state, status, error_code
        record.finished_at = timezone.now()
        record.latency_ms = (perf_counter() - self._started) * 1000

    def _log_request(self) -> None:
        record = self.record
        metrics.observe(record, self._prediction)
        tracing.describe(record)
        logger.info(
            "request",
            state=str(record.state),
            status=record.status,
            code=record.error_code,
            caller=record.caller,
            correlation_id=record.correlation_id,
            attempts=record.attempts,
            image_bytes=record.image_bytes,
            detections=record.detection_count,
            latency_ms=round(record.latency_ms or 0.0, 1),
        )

    def _log_record(self) -> None:
        """Write the record to the log instead, in the trail's own form."""
        logger.error("not in the database", record=json.loads(self.record.content()))


def _admit(record: Record, caller: Caller) -> None:
    with transaction.atomic():
        take_quota(caller, timezone.now())
        record.save(force_insert=True)


def _state_after(error: LesionserveError) -> State:
    if isinstance(error, Overloaded | TooManyRequests):
        return State.SHED
    return State.REJECTED if error.status < 500 else State.FAILED
