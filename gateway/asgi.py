import os
from typing import Any, cast

from asgiref.typing import ASGI3Application, ASGIReceiveCallable, ASGISendCallable
from django.core.asgi import get_asgi_application

from gateway.metrics_folder import MetricsFolder

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")
# Before the imports below, which open a file for each metric.
metrics_folder = MetricsFolder.join(os.environ)
# The stubs of Django and of ASGI disagree on what a scope is.
django = cast(ASGI3Application, get_asgi_application())

# The imports below load models, so Django must be set up first.
from gateway import health  # noqa: E402
from gateway.context import path_of  # noqa: E402
from gateway.lifespan import Lifespan  # noqa: E402
from gateway.middleware import (  # noqa: E402
    DatabaseTimeoutMiddleware,
    FormBoundsMiddleware,
    HeaderBoundsMiddleware,
    HostMiddleware,
    HttpsMiddleware,
    ProblemMiddleware,
    RequestContextMiddleware,
    SendTimeoutMiddleware,
)
from gateway.predict.endpoint import PredictEndpoint  # noqa: E402


class Router:
    """Choose the application by the request's path, and `pages` for all other paths."""

    def __init__(self, routes: dict[str, ASGI3Application], pages: ASGI3Application) -> None:
        self._routes = routes
        self._pages = pages

    async def __call__(
        self, scope: Any, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        await self._routes.get(path_of(scope), self._pages)(scope, receive, send)


def watched(app: ASGI3Application) -> ASGI3Application:
    """Return a route for monitoring, which answers under any host name."""
    return ProblemMiddleware(HeaderBoundsMiddleware(FormBoundsMiddleware(HttpsMiddleware(app))))


pages: ASGI3Application = HttpsMiddleware(DatabaseTimeoutMiddleware(django))
pages = HeaderBoundsMiddleware(HostMiddleware(FormBoundsMiddleware(pages)))
routes: dict[str, ASGI3Application] = {
    "/predict/": PredictEndpoint(),
    "/healthz": watched(health.route(health.healthz, "GET")),
    "/readyz": watched(health.route(health.readyz, "GET")),
    "/metrics": watched(health.route(health.Metrics(metrics_folder), "GET", "HEAD")),
}
router = Router(routes, ProblemMiddleware(pages))
application = Lifespan(SendTimeoutMiddleware(RequestContextMiddleware(router)))
