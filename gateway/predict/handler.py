from asgiref.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest, HttpResponse


class BareHandler(ASGIHandler):
    """Django's routing and views without the middleware.

    What Django brings takes each request through a thread, once or twice for each class of it:
    half of the gateway's time for an image, which has no session, no form and no page. What of it
    an answer needs is done here: its length and `nosniff`. The headers that bind a
    browser's page (frames, referrer, content security) have no use in JSON.
    """

    async def __call__(
        self, scope: HTTPScope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        # Django's own starts and ends a thread around each request, for views that are not async.
        await self.handle(scope, receive, send)

    def load_middleware(self, is_async: bool = False) -> None:
        self._view_middleware = []
        self._template_response_middleware = []
        self._exception_middleware = []
        self._middleware_chain = convert_exception_to_response(self._answer)

    async def _answer(self, request: HttpRequest) -> HttpResponse:
        response = await self._get_response_async(request)
        response.headers.setdefault("Content-Length", str(len(response.content)))
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        return response
