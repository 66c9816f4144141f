import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.body import ClientDisconnected, cancelled_on_disconnect, read_body
from pipeline.errors import BadRequest

LEFT = {"type": "http.disconnect"}


def receiving(*messages: dict[str, Any]) -> Callable[[], Awaitable[Any]]:
    """Return a `receive` of these messages, after which nothing comes."""
    unread = list(messages)

    async def receive() -> Any:
        if not unread:
            await asyncio.Event().wait()
        return unread.pop(0)

    return receive


def chunk(body: bytes, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


async def test_reads_body_in_chunks():
    assert await read_body(receiving(chunk(b"a", True), chunk(b""), LEFT), 1) == b"a"
    assert await read_body(receiving(chunk(b"a", True), chunk(b"b")), 2) == b"ab"


async def test_rejects_body_shorter_than_announced():
    with pytest.raises(BadRequest, match="1 bytes"):
        await read_body(receiving(chunk(b"a")), 2)


async def test_disconnect_within_body_is_noticed():
    with pytest.raises(ClientDisconnected):
        await read_body(receiving(chunk(b"a", True), LEFT), 2)


async def test_work_is_cancelled_on_disconnect():
    with pytest.raises(ClientDisconnected):
        async with cancelled_on_disconnect(receiving(chunk(b""), LEFT)):
            await asyncio.Event().wait()
    await asyncio.sleep(0)  # nothing of the cancellation is left
    assert asyncio.current_task().cancelling() == 0


async def test_work_that_ends_stops_watching():
    async with cancelled_on_disconnect(receiving(LEFT)):
        result = 1
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert result == 1


@pytest.mark.parametrize("leaves", [True, False], ids=["client left too", "client stays"])
async def test_cancellation_by_server_is_not_swallowed(leaves):
    begun = asyncio.Event()

    async def request() -> None:
        async with cancelled_on_disconnect(receiving(*[LEFT] * leaves)):
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(request())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_error_of_work_is_passed_on():
    with pytest.raises(BadRequest):
        async with cancelled_on_disconnect(receiving()):
            raise BadRequest("x")
