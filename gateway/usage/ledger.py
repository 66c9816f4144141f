import json
import logging
from collections.abc import Callable
from functools import partial
from time import perf_counter

from django.core.serializers.json import DjangoJSONEncoder
from django.forms.models import model_to_dict
from django.utils import timezone

from gateway.database import DatabaseUnavailable, in_database
from gateway.usage import metrics
from gateway.usage.models import Record, State
from pipeline.errors import LesionserveError, Overloaded

logger = logging.getLogger(__name__)


class Entry:
    """A request's record, from `received` to its final state."""

    def __init__(self, request_id: str) -> None:
        self.record = Record(request_id=request_id)
        self._started = perf_counter()

    async def admit(self) -> None:
        """Commits the row as `received`. Raises DatabaseUnavailable."""
        await in_database(partial(self.record.save, force_insert=True))

    async def settle(self, status: int, error: LesionserveError | None) -> LesionserveError | None:
        """Commits the final state, before the answer leaves.

        Returns the error that the client is told: an answer that cannot be recorded is withheld.
        """
        state = State.SUCCEEDED if error is None else _state_after(error)
        self._close(state, status, "" if error is None else error.code)
        if isinstance(error, DatabaseUnavailable):
            self._log()
        else:
            try:
                await in_database(self._write())
            except DatabaseUnavailable as unavailable:
                self._close(State.FAILED, unavailable.status, unavailable.code)
                self._log()
                error = unavailable
        metrics.observe(self.record)
        return error

    async def abort(self) -> None:
        """Commits that the client left before an answer did."""
        self._close(State.ABORTED, None, "")
        try:
            await in_database(self._write())
        except DatabaseUnavailable:
            self._log()
        metrics.observe(self.record)

    def _close(self, state: State, status: int | None, error_code: str) -> None:
        record = self.record
        record.state, record.status, record.error_code = state, status, error_code
        record.finished_at = timezone.now()
        record.latency_ms = (perf_counter() - self._started) * 1000

    def _write(self) -> Callable[[], None]:
        """The write, with the values of now: a later abort must not change it half-way."""
        if self.record.pk is None:
            return partial(self.record.save, force_insert=True)
        return partial(Record.objects.finish, self.record.pk, self.record.final_values())

    def _log(self) -> None:
        line = json.dumps(model_to_dict(self.record), cls=DjangoJSONEncoder)
        logger.error("not in the database: %s", line)


def _state_after(error: LesionserveError) -> State:
    if isinstance(error, Overloaded):
        return State.SHED
    return State.REJECTED if error.status < 500 else State.FAILED
