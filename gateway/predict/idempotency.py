"""`Idempotency-Key`, after draft-ietf-httpapi-idempotency-key-header-07.

A client that lost an answer asks again with the same key and gets the same bytes, from one
inference. Keys are an organisation's own. Only a success is kept; anything else may be asked again
at once.
"""

import asyncio
import base64
import hashlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.crypto import salted_hmac
from pydantic import ValidationError

from gateway.database import IMAGE_WAITS_S, in_database
from gateway.errors import Conflict, IdempotencyKeyReused
from gateway.http_headers import Headers, values
from gateway.people.models import Organisation
from gateway.predict.models import Claim
from pipeline.errors import BadRequest
from pipeline.schemas import Prediction, PredictOptions

# A structured-field string (RFC 9651), whose quotes many clients leave out.
_QUOTED = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\]){1,255})"')
_BARE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,255}")

# A gateway that was killed leaves its claim behind for this much longer than its deadline.
_GRACE_S = 5


@dataclass(frozen=True, slots=True)
class Once:
    """A request that its client wants answered once, however often it is sent."""

    organisation: Organisation
    key: str
    fingerprint: str

    @classmethod
    def of(
        cls, headers: Headers, organisation: Organisation, image: bytes, options: PredictOptions
    ) -> "Once | None":
        """None without the header. Raises BadRequest where it is malformed or not offered."""
        key = _key(headers)
        if key is None:
            return None
        digest = hashlib.sha256(options.model_dump_json().encode() + b"\n")
        digest.update(image)
        return cls(organisation, hashlib.sha256(key.encode()).hexdigest(), digest.hexdigest())

    async def answer(self, work: Callable[[], Awaitable[Prediction]]) -> tuple[Prediction, bool]:
        """The answer of `work`, or the one that is kept, and whether it was kept.

        Raises Conflict while another request is working on it, IdempotencyKeyReused where the key
        was used for another request, and whatever `work` raises.
        """
        claiming = asyncio.ensure_future(in_database(_claim, self))
        try:
            claim = await asyncio.shield(claiming)
            if isinstance(claim, Prediction):
                return claim, True
            prediction = await work()
            await in_database(_keep, claim, prediction)
        except BaseException:
            # Also where the client left, be it while the claim was made: what comes next may be it
            # again. In a task of its own, since this one may be cancelled.
            await asyncio.shield(asyncio.ensure_future(_give_up(claiming)))
            raise
        return prediction, False


def _key(headers: Headers) -> str | None:
    given = values(headers, b"idempotency-key")
    if not given:
        return None
    if settings.IDEMPOTENCY_S == 0:
        raise BadRequest("This service keeps no answers: send no Idempotency-Key.")
    if len(given) == 1 and (quoted := _QUOTED.fullmatch(given[0])):
        return re.sub(r"\\(.)", r"\1", quoted[1])
    if len(given) == 1 and _BARE.fullmatch(given[0]):
        return given[0]
    raise BadRequest("The Idempotency-Key is malformed, or there are several.")


def _claim(once: Once) -> Prediction | int:
    """The answer that is kept, or the number of a claim to the key."""
    now = timezone.now()
    ends_at = now + timedelta(seconds=settings.DEADLINE_S + _GRACE_S)
    with transaction.atomic():
        of_this_key = Claim.objects.filter(organisation=once.organisation, key_hash=once.key)
        of_this_key.filter(expires_at__lte=now).delete()
        claim, is_new = of_this_key.get_or_create(
            organisation=once.organisation,
            key_hash=once.key,
            defaults={"fingerprint": once.fingerprint, "expires_at": ends_at},
        )
    if is_new:
        return claim.pk
    if claim.fingerprint != once.fingerprint:
        raise IdempotencyKeyReused("This Idempotency-Key was used for another request.")
    if claim.answer is None:
        raise Conflict("A request with this Idempotency-Key is being answered now.")
    try:
        return Prediction.model_validate_json(_cipher().decrypt(bytes(claim.answer)))
    except (InvalidToken, ValidationError):
        # Of another LESIONSERVE_SECRET_KEY, or of the version before: as good as not kept.
        claim.delete()
        return _claim(once)


def _keep(claim: int, prediction: Prediction) -> None:
    ends_at = timezone.now() + timedelta(seconds=settings.IDEMPOTENCY_S)
    encrypted = _cipher().encrypt(prediction.model_dump_json().encode())
    _open(claim).update(answer=encrypted, expires_at=ends_at)


async def _give_up(claiming: "asyncio.Future[Prediction | int]") -> None:
    await asyncio.wait([claiming])
    if claiming.exception() is None and isinstance(claim := claiming.result(), int):
        await in_database(_open(claim).delete, within_s=IMAGE_WAITS_S)


def _open(claim: int) -> QuerySet[Claim]:
    """By its number: one that took too long may have been followed by another of the same key."""
    return Claim.objects.filter(pk=claim, answer__isnull=True)


def forget_expired() -> None:
    """Blocking."""
    Claim.objects.filter(expires_at__lte=timezone.now()).delete()


def _cipher() -> Fernet:
    secret = salted_hmac("lesionserve.idempotency", b"answers", algorithm="sha256").digest()
    return Fernet(base64.urlsafe_b64encode(secret))
