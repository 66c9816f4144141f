import asyncio

from asgiref.typing import ASGIReceiveCallable, ASGIReceiveEvent

from gateway.errors import RequestTimeout

# For the whole of a body. nginx hands it over at once; without one before us, whoever sends drop by
# drop would hold its place, and its record would be swept while it goes on.
_WITHIN_S = 60.0


def in_time(receive: ASGIReceiveCallable) -> ASGIReceiveCallable:
    """Raises RequestTimeout where the body has not come by then. What comes after it may take as
    long as it likes: that is the client leaving."""
    ends_at = asyncio.get_running_loop().time() + _WITHIN_S
    is_whole = False

    async def received() -> ASGIReceiveEvent:
        nonlocal is_whole
        if is_whole:
            return await receive()
        try:
            async with asyncio.timeout_at(ends_at):
                message = await receive()
        except TimeoutError:
            raise RequestTimeout("The body did not come in time.") from None
        is_whole = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    return received
