import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from asgiref.typing import ASGIReceiveCallable, ASGIReceiveEvent

from gateway.errors import RequestTimeout
from pipeline.errors import BadRequest
from pipeline.tracing.spans import Departure, traced

# The time allowed for a whole body. nginx buffers it and sends it at once. Without nginx, a client
# that sends slowly would hold its slot, and the sweeper would close its record too early.
_WITHIN_S = 60.0


class ClientDisconnected(Departure):
    """The client closed its connection before it received an answer."""


def bounded(receive: ASGIReceiveCallable, length: int) -> ASGIReceiveCallable:
    """Return `receive` for a body of `length` bytes.

    It raises RequestTimeout where the body takes too long, and BadRequest where the server delivers
    fewer bytes than announced, as uvicorn's own protocol does after an `Upgrade`. Waiting for the
    client to disconnect has no limit.
    """
    ends_at = asyncio.get_running_loop().time() + _WITHIN_S
    is_whole, count = False, 0

    async def bounded_receive() -> ASGIReceiveEvent:
        nonlocal is_whole, count
        if is_whole:
            return await receive()
        try:
            async with asyncio.timeout_at(ends_at):
                message = await receive()
        except TimeoutError:
            raise RequestTimeout(
                f"The body did not come within {_WITHIN_S:g} s; send it again over a faster line."
            ) from None
        is_whole = message["type"] != "http.request" or not message.get("more_body", False)
        if message["type"] == "http.request":
            count += len(message.get("body", b""))
            if is_whole and count != length:
                raise BadRequest(
                    f"The body has {count} bytes, but Content-Length says {length}. Send the whole "
                    "body, without an Upgrade header."
                )
        return message

    return bounded_receive


@traced("read_body")
async def read_body(receive: ASGIReceiveCallable, length: int) -> bytes:
    """Return the body. Raise ClientDisconnected, RequestTimeout or BadRequest (see `bounded`)."""
    receive = bounded(receive, length)
    chunks: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientDisconnected
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(chunks)


@asynccontextmanager
async def cancelled_on_disconnect(receive: ASGIReceiveCallable) -> AsyncIterator[None]:
    """Cancel the context's body when the client disconnects, and raise ClientDisconnected."""
    task = asyncio.current_task()
    assert task is not None
    has_left = False

    async def watch() -> None:
        nonlocal has_left
        while (await receive())["type"] != "http.disconnect":
            pass
        has_left = True
        task.cancel()

    watcher = asyncio.create_task(watch())
    try:
        yield
    except asyncio.CancelledError:
        # If the server cancelled the task as well, the count stays above 0 and the cancellation
        # goes on.
        if has_left and task.uncancel() == 0:
            raise ClientDisconnected from None
        raise
    finally:
        watcher.cancel()
