import asyncio

import httpx
import pytest

from gateway.predict.upstream import Upstream
from pipeline.errors import (
    BrokenImage,
    LesionserveError,
    Unavailable,
)
from tests.unit.gateway.metric_values import changes, value
from tests.unit.gateway.predict.wire import (
    answering,
    ask,
    raising,
    upstream,
)


class Clock:
    def __init__(self, monkeypatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("gateway.predict.breaker.monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch) -> Clock:
    return Clock(monkeypatch)


async def test_open_circuit_spares_ingress(clock):
    asked = []

    def handler(request):
        asked.append(request)
        raise httpx.ConnectError("refused")

    ingress = upstream(handler)
    for _ in range(20):
        with pytest.raises(Unavailable):
            await ask(ingress)
    assert len(asked) == 8
    for _ in range(3):
        clock.now += 6
        for _ in range(3):
            with pytest.raises(Unavailable):
                await ask(ingress)
    assert len(asked) == 11


async def test_half_open_circuit_lets_one_request_through(clock):
    answers, asked, goes_on = [httpx.ConnectError("refused")] * 8, [], asyncio.Event()

    async def handler(request):
        asked.append(request)
        if answers:
            raise answers.pop()
        await goes_on.wait()
        return answering(422, "broken_image")(request)

    ingress = upstream(handler)
    for _ in range(8):
        with pytest.raises(Unavailable):
            await ask(ingress)
    clock.now += 6
    test = asyncio.create_task(ask(ingress))
    await asyncio.sleep(0.01)
    with pytest.raises(Unavailable):
        await ask(ingress)
    assert len(asked) == 9
    goes_on.set()
    for request in (test, ask(ingress)):  # and its answer lets all of them in
        with pytest.raises(BrokenImage):
            await request


async def test_lack_of_own_connections_does_not_open_circuit(clock):
    errors = [*[httpx.ConnectError("refused")] * 7, httpx.PoolTimeout("full")] * 2
    ingress, asked = upstream(lambda request: raising(errors.pop())(request)), []
    for _ in range(12):
        with pytest.raises(LesionserveError):
            await ask(ingress, asked)
    assert len(asked) == 10  # the eighth loss opens it


async def test_disconnected_client_does_not_close_circuit(clock):
    leaves = True

    async def handler(request):
        if leaves:
            await asyncio.sleep(60)
        raise httpx.ConnectError("refused")

    async def leave(ingress: Upstream) -> None:
        request = asyncio.create_task(ask(ingress))
        await asyncio.sleep(0.01)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request

    ingress, asked = upstream(handler), []
    for leaves in [False] * 7 + [True, False]:
        if leaves:
            await leave(ingress)
        else:
            with pytest.raises(Unavailable):
                await ask(ingress, asked)
    assert len(asked) == 8
    clock.now += 6
    leaves = True
    await leave(ingress)  # as the test of the open circuit, which tells nothing
    leaves = False
    for _ in range(2):
        with pytest.raises(Unavailable):
            await ask(ingress, asked)
    assert len(asked) == 9


@pytest.mark.parametrize(
    ("status", "code"),
    [(503, "overloaded"), (503, "unavailable"), (504, "deadline_exceeded"), (502, "")],
)
async def test_any_response_keeps_circuit_closed(status, code):
    ingress = upstream(answering(status, code))
    for _ in range(20):
        asked: list[int] = []
        with pytest.raises(LesionserveError):
            await ask(ingress, asked)
        assert asked


async def test_request_that_open_circuit_refuses_is_no_attempt():
    ingress = upstream(raising(httpx.ConnectError("refused")))
    for _ in range(8):
        with pytest.raises(Unavailable):
            await ask(ingress)
    with changes() as changed, pytest.raises(Unavailable):
        await ask(ingress)
    assert changed == {}
    assert value("circuit_open") == 1
