import asyncio
import time

import pytest
from prometheus_client import REGISTRY

from cluster.launcher.ports import choose_ports
from gateway.access import limits
from gateway.access.caller import Caller
from gateway.access.limits import Limiter, LimitStatus, raise_if_exceeded, ratelimit_headers
from gateway.environment import Rates
from gateway.errors import TooManyRequests
from gateway.people.models import Organisation

RATES = Rates(caller=5, organisation=8, failures=2)


def caller(name: str = "a", organisation: int = 1, **limits: int) -> Caller:
    of = Organisation(pk=organisation, name=str(organisation))
    return Caller(of, frozenset(), key_id=name, **limits)


async def count_accepted(limiter: Limiter, caller: Caller, times: int) -> int:
    """Return how many of so many requests at once are accepted."""
    answers = await asyncio.gather(*(limiter.count(caller) for _ in range(times)))
    return sum(not any(status.exceeded for status in statuses) for statuses in answers)


async def test_caller_is_limited_by_rate():
    assert await count_accepted(Limiter(RATES), caller(), 20) == 5


async def test_own_rate_takes_precedence_over_default():
    assert await count_accepted(Limiter(RATES), caller(requests_per_minute=7), 20) == 7


async def test_rate_of_zero_refuses_every_request():
    limiter = Limiter(RATES)
    assert await count_accepted(limiter, caller(requests_per_minute=0), 3) == 0
    closed = caller()
    closed.organisation.requests_per_minute = 0
    assert await count_accepted(limiter, closed, 3) == 0
    with pytest.raises(TooManyRequests) as refusal:
        raise_if_exceeded(await limiter.count(closed))
    assert refusal.value.retry_after_s == 60


async def test_rate_of_zero_has_nothing_remaining():
    (status,) = await Limiter(RATES).count(caller(requests_per_minute=0))
    assert status == LimitStatus("caller", limit=0, remaining=0, reset_s=60, exceeded=True)


LIMITED = Rates(caller=20, organisation=20, failures=2, address=3)


async def test_address_is_limited_whatever_its_keys():
    limiter = Limiter(LIMITED)
    for name in ("a", "b", "c"):
        (status, *_) = await limiter.count(caller(name), "192.0.2.1")
        assert (status.name, status.exceeded) == ("address", False)
    with pytest.raises(TooManyRequests, match="More than 3 requests a minute"):
        raise_if_exceeded(await limiter.count(caller("d"), "192.0.2.1"))
    raise_if_exceeded(await limiter.count(caller("d"), "192.0.2.2"))


async def test_refused_address_takes_nothing_from_caller():
    limiter = Limiter(LIMITED)
    for _ in range(10):
        await limiter.count(caller(), "192.0.2.1")
    statuses = await limiter.count(caller(), "192.0.2.2")
    assert [(status.name, status.remaining) for status in statuses] == [
        ("address", 2),
        ("caller", 16),
        ("organisation", 16),
    ]


async def test_unknown_addresses_share_one_limit():
    limiter = Limiter(LIMITED)
    assert await count_accepted(limiter, caller(), 10) == 3


async def test_address_is_not_limited_by_default():
    statuses = await Limiter(RATES).count(caller(), "192.0.2.1")
    assert [status.name for status in statuses] == ["caller", "organisation"]


async def test_failures_of_address_are_limited():
    limiter = Limiter(RATES)
    for _ in range(2):
        await limiter.count_failure("192.0.2.1")
    with pytest.raises(TooManyRequests, match="More than 2 requests a minute"):
        await limiter.count_failure("192.0.2.1")
    await limiter.count_failure("192.0.2.2")


async def test_failures_and_requests_of_subject_count_separately():
    limiter = Limiter(Rates(caller=3, organisation=3, failures=3))
    for _ in range(3):
        await limiter.count_failure("key:a")
    statuses = await limiter.count(caller())
    assert [(status.name, status.remaining) for status in statuses] == [
        ("caller", 2),
        ("organisation", 2),
    ]


async def test_reset_is_at_least_one_second_away(monkeypatch):
    monkeypatch.setattr(limits, "time", lambda: time.time() + 1000)
    statuses = await Limiter(RATES).count(caller())
    assert [status.reset_s for status in statuses] == [1, 1]


def test_redis_gets_key_prefix_and_quarter_second_timeouts(monkeypatch):
    arguments: dict[str, object] = {}
    monkeypatch.setattr(
        limits, "RedisStorage", lambda url, **options: arguments.update(options, url=url)
    )
    limits._redis("redis://localhost")
    assert arguments == {
        "url": "async+redis://localhost",
        "implementation": "redispy",
        "wrap_exceptions": True,
        "key_prefix": "lesionserve",
        "socket_timeout": 0.25,
        "socket_connect_timeout": 0.25,
    }


async def test_callers_of_organisation_share_its_rate():
    limiter = Limiter(RATES)
    assert await count_accepted(limiter, caller("a"), 5) == 5
    assert await count_accepted(limiter, caller("b"), 5) == 3
    assert await count_accepted(limiter, caller("c", organisation=2), 5) == 5


async def test_refused_request_does_not_count_for_organisation():
    limiter = Limiter(RATES)
    await count_accepted(limiter, caller("a"), 50)
    assert await count_accepted(limiter, caller("b"), 5) == 3


async def test_refusal_says_when_to_retry():
    limiter = Limiter(RATES)
    await count_accepted(limiter, caller(), 5)
    with pytest.raises(TooManyRequests) as refusal:
        raise_if_exceeded(await limiter.count(caller()))
    assert 1 <= refusal.value.retry_after_s <= 60


async def test_ratelimit_headers_follow_ietf_draft():
    headers = dict(ratelimit_headers(await Limiter(RATES).count(caller())))
    assert headers[b"ratelimit-policy"] == b'"caller";q=5;w=60, "organisation";q=8;w=60'
    first, second = headers[b"ratelimit"].split(b", ")
    assert first.startswith(b'"caller";r=4;t=')
    assert second.startswith(b'"organisation";r=7;t=')


async def test_worker_counts_alone_without_redis_and_alerts():
    (port,) = choose_ports([None])
    name = "lesionserve_gateway_limiter_failures_total"
    before = REGISTRY.get_sample_value(name) or 0
    assert await count_accepted(Limiter(RATES, f"redis://127.0.0.1:{port}"), caller(), 20) == 5
    assert (REGISTRY.get_sample_value(name) or 0) > before
