from collections.abc import Awaitable, Callable
from contextvars import ContextVar

from django.http import HttpRequest, HttpResponse
from django.utils.decorators import async_only_middleware

# The request in progress; None in a command. Signals need it, since they receive no request.
current_request: ContextVar[HttpRequest | None] = ContextVar("current_request", default=None)


@async_only_middleware
def current_request_middleware(
    get_response: Callable[[HttpRequest], Awaitable[HttpResponse]],
) -> Callable[[HttpRequest], Awaitable[HttpResponse]]:
    async def middleware(request: HttpRequest) -> HttpResponse:
        token = current_request.set(request)
        try:
            return await get_response(request)
        finally:
            current_request.reset(token)

    return middleware
