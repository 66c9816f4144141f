import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from gateway.errors import UpstreamCertificateInvalid, UpstreamDisconnected, UpstreamFault
from pipeline.errors import DeadlineExceeded, Overloaded, Unavailable

# The picture of the largest image in base64, and the text of a refusal, fit in. A larger response
# is not an ingress's.
_MAX_ANSWER_BYTES = 256 * 1024 * 1024
_MAX_REFUSAL_BYTES = 64 * 1024


async def exchange(
    client: httpx.AsyncClient, request: httpx.Request, within_s: float
) -> tuple[int, bytes]:
    """Send a request and return the status and the body of its response.

    Raise LesionserveError: DeadlineExceeded after `within_s` seconds, Overloaded for lack of a
    connection, Unavailable, UpstreamDisconnected, UpstreamCertificateInvalid or UpstreamFault.
    """
    with _translated_errors():
        async with asyncio.timeout(within_s):
            response = await client.send(request, stream=True)
            try:
                return response.status_code, await _read(response)
            finally:
                await response.aclose()


async def _read(response: httpx.Response) -> bytes:
    if response.headers.get("content-encoding", "identity") != "identity":
        raise UpstreamFault("The inference service gave no valid answer.")
    limit = _MAX_ANSWER_BYTES if response.status_code == 200 else _MAX_REFUSAL_BYTES
    body = bytearray()
    async for chunk in response.aiter_raw():  # raw: nothing is decompressed
        body += chunk
        if len(body) > limit:
            raise UpstreamFault("The inference service gave no valid answer.")
    return bytes(body)


@contextmanager
def _translated_errors() -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise DeadlineExceeded("The inference service did not finish in time.") from error
    except httpx.PoolTimeout as error:
        raise Overloaded("The gateway is at capacity; try again.") from error
    except httpx.TimeoutException as error:
        raise Unavailable("The inference service cannot be reached.") from error
    except httpx.RemoteProtocolError as error:
        if _hung_up(error):
            raise UpstreamDisconnected("The inference service broke off; try again.") from error
        raise UpstreamFault("The inference service gave no valid answer.") from error
    except httpx.TransportError as error:
        if is_tls_error(error):
            raise UpstreamCertificateInvalid("The inference service cannot be trusted.") from error
        if isinstance(error, httpx.ReadError | httpx.WriteError):
            raise UpstreamDisconnected("The inference service broke off; try again.") from error
        raise Unavailable("The inference service cannot be reached.") from error


def _hung_up(error: httpx.RemoteProtocolError) -> bool:
    # httpx has one error for a closed connection and for malformed HTTP.
    return "without sending" in str(error)


def is_tls_error(error: BaseException | None) -> bool:
    """Return whether TLS failed, such as a certificate that is not trusted."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False
