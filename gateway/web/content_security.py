from collections.abc import Awaitable, Callable

from django.http import HttpRequest, HttpResponse
from django.utils.decorators import async_only_middleware

# Own scripts and styles only, and no inline ones: a class label that is a script stays text.
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
# The API's documentation is drawn by Swagger UI, which styles its elements inline.
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
