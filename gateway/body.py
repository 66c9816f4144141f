import asyncio

from asgiref.typing import ASGIReceiveCallable, ASGIReceiveEvent

from gateway.errors import RequestTimeout
from pipeline.errors import BadRequest

# For the whole of a body. nginx hands it over at once; without one before us, whoever sends drop by
# drop would hold its place, and its record would be swept while it goes on.
_WITHIN_S = 60.0


def in_time(receive: ASGIReceiveCallable, length: int) -> ASGIReceiveCallable:
    """Return `receive` for a body of this length.

    It raises RequestTimeout where the body has not come by then, and BadRequest where the server
    hands over less than was announced, as uvicorn's own protocol does after an `Upgrade`. What
    comes after the body may take as long as it likes: that is the client leaving.
    """
    ends_at = asyncio.get_running_loop().time() + _WITHIN_S
    is_whole, count = False, 0

    async def received() -> ASGIReceiveEvent:
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
                    f"{count} bytes of the body came, and Content-Length announces {length}. Send "
                    "the whole body, and no header Upgrade."
                )
        return message

    return received
