import asyncio
import json
from copy import copy
from time import perf_counter

import structlog
from django.db import transaction
from django.utils import timezone

from gateway.access.caller import Caller
from gateway.access.quota import spend
from gateway.database import IMAGE_WAITS_S, DatabaseUnavailable, in_database
from gateway.errors import TooManyRequests
from gateway.usage import metrics
from gateway.usage.models import Record, State
from pipeline.errors import LesionserveError, Overloaded

logger = structlog.stdlib.get_logger(__name__)


class Entry:
    """A request's record, from `received` to its final state."""

    def __init__(
        self, request_id: str, address: str | None = None, correlation_id: str | None = None
    ) -> None:
        self.record = Record(
            request_id=request_id, address=address, correlation_id=correlation_id or ""
        )
        self._started = perf_counter()
        self._settling: asyncio.Future[LesionserveError | None] | None = None

    async def admit(self, caller: Caller) -> None:
        """Takes the request from its quotas and commits the row as `received`, both or neither.

        Raises TooManyRequests or DatabaseUnavailable.
        """
        # A copy: the database may be done with it after we have given up, when the record says so.
        row = copy(self.record)
        await in_database(_admit, row, caller)
        self.record.pk, self.record._state.adding = row.pk, False

    async def settle(self, status: int, error: LesionserveError | None) -> LesionserveError | None:
        """Commits the final state, before the answer leaves.

        Returns the error that the client is told: an answer that cannot be recorded is withheld.
        """
        # Shielded, and awaited by `abort`: a client that leaves now changes nothing.
        self._settling = asyncio.ensure_future(self._settle(status, error))
        return await asyncio.shield(self._settling)

    async def abort(self) -> None:
        """Commits that the client left before an answer did."""
        if self._settling is not None:
            await self._settling
            return
        self._finish(State.ABORTED, None, "")
        try:
            # Nobody waits for this any more, whatever the request had left.
            await in_database(Record.objects.close, self.record, within_s=IMAGE_WAITS_S)
        except DatabaseUnavailable:
            self._log()
        self._tell()

    async def _settle(self, status: int, error: LesionserveError | None) -> LesionserveError | None:
        state = State.SUCCEEDED if error is None else _state_after(error)
        self._finish(state, status, "" if error is None else error.code)
        if isinstance(error, DatabaseUnavailable):
            self._log()
        else:
            try:
                if not await in_database(Record.objects.close, self.record):
                    raise DatabaseUnavailable("The request took too long to be recorded.")
            except DatabaseUnavailable as unavailable:
                self._finish(State.FAILED, unavailable.status, unavailable.code)
                self._log()
                error = unavailable
        self._tell()
        return error

    def _finish(self, state: State, status: int | None, error_code: str) -> None:
        record = self.record
        record.state, record.status, record.error_code = state, status, error_code
        record.finished_at = timezone.now()
        record.latency_ms = (perf_counter() - self._started) * 1000

    def _tell(self) -> None:
        record = self.record
        metrics.observe(record)
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

    def _log(self) -> None:
        """The record goes to the log instead: all that is known, in the trail's own form."""
        logger.error("not in the database", record=json.loads(self.record.content()))


def _admit(record: Record, caller: Caller) -> None:
    with transaction.atomic():
        spend(caller, timezone.now())
        record.save(force_insert=True)


def _state_after(error: LesionserveError) -> State:
    if isinstance(error, Overloaded | TooManyRequests):
        return State.SHED
    return State.REJECTED if error.status < 500 else State.FAILED
