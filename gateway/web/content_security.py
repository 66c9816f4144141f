from collections.abc import Awaitable, Callable

from django.http import HttpRequest, HttpResponse
from django.utils.decorators import async_only_middleware

# Scripts and styles of our own only, and none inline: a class label that is a script stays text.
# `data:` and `blob:` are the pictures on the clinician's page.
_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data: blob:",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
# Swagger UI, which shows the API's documentation, styles its elements inline.
_DOCS_POLICY = {**_POLICY, "style-src": "'self' 'unsafe-inline'"}
_DOCS_PATH = "/docs"


@async_only_middleware
def content_security_middleware(
    get_response: Callable[[HttpRequest], Awaitable[HttpResponse]],
) -> Callable[[HttpRequest], Awaitable[HttpResponse]]:
    async def middleware(request: HttpRequest) -> HttpResponse:
        response = await get_response(request)
        policy = _DOCS_POLICY if request.path_info == _DOCS_PATH else _POLICY
        response["Content-Security-Policy"] = "; ".join(
            f"{directive} {sources}" for directive, sources in policy.items()
        )
        return response

    return middleware
