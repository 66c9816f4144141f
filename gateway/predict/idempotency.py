"""`Idempotency-Key`, after draft-ietf-httpapi-idempotency-key-header-07.

A client that lost an answer sends its request again with the same key, and gets the same bytes from
one inference. Keys are separate for each organisation. Only a success is stored; after anything
else the request may be sent again at once.
"""

import asyncio
import hashlib
import re
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Self

import structlog
from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from pydantic import ValidationError

from gateway.database import IMAGE_WAITS_S, DatabaseUnavailable, in_database
from gateway.encryption import cipher_of
from gateway.errors import Conflict, IdempotencyKeyReused
from gateway.http_headers import Headers, values
from gateway.people.models import Organisation
from gateway.predict.models import IdempotentRequest
from pipeline.errors import BadRequest
from pipeline.schemas import Prediction, PredictOptions

logger = structlog.stdlib.get_logger(__name__)

# A structured-field string (RFC 9651); many clients leave its quotes out.
_QUOTED = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\]){1,255})"')
_BARE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,255}")

# The lease of a gateway that was killed ends this much later than its deadline.
_GRACE_S = 5


@dataclass(frozen=True, slots=True)
class Replay:
    """The stored answer of an earlier request with the same key."""

    prediction: Prediction


class Lease:
    """The right to answer the requests of a key, until the answer is stored or the lease is
    released.

    A context manager: it releases the key where no answer was stored. `number` is None for a
    request without a key, whose answer is not stored.
    """

    def __init__(self, number: int | None) -> None:
        self._number = number

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            # In a task of its own, since the current task may be cancelled.
            await asyncio.shield(asyncio.ensure_future(self.release()))

    async def keep(self, prediction: Prediction) -> None:
        """Store the answer for IDEMPOTENCY_S seconds. Raise DatabaseUnavailable."""
        if self._number is not None:
            await in_database(_keep, self._number, prediction)

    async def release(self) -> None:
        """Let the next request with the key in at once."""
        if self._number is None:
            return
        try:
            await in_database(_unanswered(self._number).delete, within_s=IMAGE_WAITS_S)
        except DatabaseUnavailable:
            logger.warning("a lease on an idempotency key was left to expire")


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """A request with an idempotency key: hashes of the key and of the request."""

    organisation: Organisation
    key_hash: str
    fingerprint: str


async def acquire(
    headers: Headers, organisation: Organisation, image: bytes, options: PredictOptions
) -> Replay | Lease:
    """Return the stored answer for the request's key, or a lease to produce one.

    Raise BadRequest for a malformed key, Conflict while another request holds the lease, and
    IdempotencyKeyReused where the key was used for another request.
    """
    key = _key(headers)
    if key is None:
        return Lease(None)
    digest = hashlib.sha256(options.model_dump_json().encode() + b"\n")
    digest.update(image)
    key_hash = hashlib.sha256(key.encode()).hexdigest()
    request = KeyedRequest(organisation, key_hash, digest.hexdigest())
    acquiring = asyncio.ensure_future(in_database(_acquire, request))
    try:
        return await asyncio.shield(acquiring)
    except asyncio.CancelledError:
        # The client disconnected during the query; its next request may use the same key.
        await asyncio.shield(asyncio.ensure_future(_release_once_acquired(acquiring)))
        raise


async def _release_once_acquired(acquiring: "asyncio.Future[Replay | Lease]") -> None:
    await asyncio.wait([acquiring])
    if acquiring.exception() is None and isinstance(lease := acquiring.result(), Lease):
        await lease.release()


def _key(headers: Headers) -> str | None:
    keys = values(headers, b"idempotency-key")
    if not keys:
        return None
    if settings.IDEMPOTENCY_S == 0:
        raise BadRequest("This service keeps no answers: send no Idempotency-Key.")
    if len(keys) == 1 and (quoted := _QUOTED.fullmatch(keys[0])):
        return re.sub(r"\\(.)", r"\1", quoted[1])
    if len(keys) == 1 and _BARE.fullmatch(keys[0]):
        return keys[0]
    raise BadRequest("The Idempotency-Key is malformed, or there are several.")


def _acquire(request: KeyedRequest) -> Replay | Lease:
    now = timezone.now()
    ends_at = now + timedelta(seconds=settings.DEADLINE_S + _GRACE_S)
    with transaction.atomic():
        of_this_key = IdempotentRequest.objects.filter(
            organisation=request.organisation, key_hash=request.key_hash
        )
        of_this_key.filter(expires_at__lte=now).delete()
        row, is_new = of_this_key.get_or_create(
            organisation=request.organisation,
            key_hash=request.key_hash,
            defaults={"fingerprint": request.fingerprint, "expires_at": ends_at},
        )
    if is_new:
        return Lease(row.pk)
    if row.fingerprint != request.fingerprint:
        raise IdempotencyKeyReused("This Idempotency-Key was used for another request.")
    if row.answer is None:
        raise Conflict("A request with this Idempotency-Key is being answered now.")
    try:
        return Replay(Prediction.model_validate_json(_cipher().decrypt(bytes(row.answer))))
    except (InvalidToken, ValidationError):
        # Of another LESIONSERVE_SECRET_KEY, or of an earlier version: treated as not stored.
        row.delete()
        return _acquire(request)


def _keep(number: int, prediction: Prediction) -> None:
    ends_at = timezone.now() + timedelta(seconds=settings.IDEMPOTENCY_S)
    encrypted = _cipher().encrypt(prediction.model_dump_json().encode())
    _unanswered(number).update(answer=encrypted, expires_at=ends_at)


def _unanswered(number: int) -> QuerySet[IdempotentRequest]:
    """Return the lease's own row. It is found by number: an expired lease may have a successor."""
    return IdempotentRequest.objects.filter(pk=number, answer__isnull=True)


def forget_expired() -> None:
    """Delete expired answers; blocking."""
    IdempotentRequest.objects.filter(expires_at__lte=timezone.now()).delete()


def _cipher() -> Fernet:
    return cipher_of("lesionserve.idempotency", "answers")
