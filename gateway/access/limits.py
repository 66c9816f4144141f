from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import ceil
from time import monotonic, time
from typing import Any, TypeVar

import structlog
from limits import RateLimitItem, RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import StorageError

from gateway.access.caller import Caller
from gateway.access.metrics import LIMITER_FAILURES, RATE_LIMITED
from gateway.details import RATE
from gateway.environment import Rates
from gateway.errors import TooManyRequests

T = TypeVar("T")

logger = structlog.stdlib.get_logger(__name__)

WINDOW_S = 60

# Redis answers within a millisecond, or is taken to be down; then each worker counts alone.
_REDIS_WITHIN_S = 0.25
_REDIS_AGAIN_AFTER_S = 5.0

Strategy = SlidingWindowCounterRateLimiter


@dataclass(frozen=True, slots=True)
class LimitStatus:
    """The state of one limit: requests remaining, and seconds until more are available."""

    name: str
    limit: int
    remaining: int
    reset_s: int
    exceeded: bool


class Limiter:
    """Sliding-window rate limits, a minute long: of addresses, callers, organisations, and invalid
    credentials.

    With a Redis, all workers count together. While it is down each worker counts alone, which
    allows at most as many times the limit as there are workers.
    """

    def __init__(self, rates: Rates, redis_url: str | None = None) -> None:
        self._rates = rates
        self._own = Strategy(MemoryStorage())
        self._shared = None if redis_url is None else Strategy(_redis(redis_url))
        self._shared_from = 0.0  # on the monotonic clock

    async def count(self, caller: Caller, client: str = "unknown") -> list[LimitStatus]:
        """Count one request for its address, where addresses are limited, for the caller and for
        its organisation.

        client: of `gateway.addresses.client_of`. A refused request does not count for what follows.
        """
        statuses = []
        if self._rates.address is not None:
            statuses = [await self._count("address", client, self._rates.address)]
            if statuses[0].exceeded:
                return statuses
        return statuses + await self._count_caller(caller)

    async def _count_caller(self, caller: Caller) -> list[LimitStatus]:
        organisation = caller.organisation
        own = _or_default(caller.requests_per_minute, self._rates.caller)
        all_of_it = _or_default(organisation.requests_per_minute, self._rates.organisation)
        status = await self._count("caller", caller.name, own)
        if status.exceeded:
            return [status]
        return [status, await self._count("organisation", str(organisation.pk), all_of_it)]

    async def count_failure(self, client: str) -> None:
        """Count an invalid credential from the client's address. Raise TooManyRequests.

        A valid credential is never refused for earlier failures: one address may be that of a whole
        hospital, and 256 random bits cannot be guessed.
        """
        raise_if_exceeded([await self._count("failures", client, self._rates.failures)])

    async def _count(self, name: str, subject: str, limit: int) -> LimitStatus:
        if limit == 0:
            return LimitStatus(name, limit=0, remaining=0, reset_s=WINDOW_S, exceeded=True)
        item = RateLimitItemPerMinute(limit)
        allowed, (reset_at, remaining) = await self._ask(
            lambda strategy: _hit(strategy, item, name, subject)
        )
        reset_s = max(1, ceil(reset_at - time()))
        return LimitStatus(name, limit, remaining, reset_s, exceeded=not allowed)

    async def _ask(self, question: Callable[[Strategy], Awaitable[T]]) -> T:
        if self._shared is not None and monotonic() >= self._shared_from:
            try:
                return await question(self._shared)
            except StorageError:
                self._shared_from = monotonic() + _REDIS_AGAIN_AFTER_S
                LIMITER_FAILURES.inc()
                logger.exception("the shared rate limits cannot be reached; counting alone")
        return await question(self._own)


def _or_default(own: int | None, default: int) -> int:
    return default if own is None else own


async def _hit(
    strategy: Strategy, item: RateLimitItem, *identifiers: str
) -> tuple[bool, tuple[float, int]]:
    allowed = await strategy.hit(item, *identifiers)
    return allowed, await strategy.get_window_stats(item, *identifiers)


def _redis(url: str) -> RedisStorage:
    options: dict[str, Any] = {
        "socket_timeout": _REDIS_WITHIN_S,
        "socket_connect_timeout": _REDIS_WITHIN_S,
    }
    return RedisStorage(
        f"async+{url}",
        implementation="redispy",
        wrap_exceptions=True,
        key_prefix="lesionserve",
        **options,
    )


def ratelimit_headers(statuses: list[LimitStatus]) -> list[tuple[bytes, bytes]]:
    """Return `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10)."""
    policy = ", ".join(f'"{status.name}";q={status.limit};w={WINDOW_S}' for status in statuses)
    left = ", ".join(
        f'"{status.name}";r={status.remaining};t={status.reset_s}' for status in statuses
    )
    return [(b"ratelimit-policy", policy.encode()), (b"ratelimit", left.encode())]


def raise_if_exceeded(statuses: list[LimitStatus]) -> None:
    """Count a request over a limit, and raise TooManyRequests."""
    for status in statuses:
        if status.exceeded:
            RATE_LIMITED[status.name].inc()
            raise TooManyRequests(RATE % {"limit": status.limit}, status.reset_s)
