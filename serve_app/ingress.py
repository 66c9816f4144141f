from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from ray.serve.handle import DeploymentHandle

from serve_app.alternative_service import AlternativeService
from serve_app.args import AppArgs
from serve_app.direct_ingress import has_direct_ingress
from serve_app.graph import Graph
from serve_app.replica import start_replica
from serve_app.routes import Routes
from serve_app.tokens import Tokens


class Ingress:
    """The deployment that HTTP requests reach: the routes over a graph.

    In the staged layout the graph calls the stages by their handles; in the fused layout it holds
    them, and Ray names this deployment LesionService.
    """

    def __init__(
        self, args: AppArgs, graph: Callable[..., Graph], *stages: DeploymentHandle[Any]
    ) -> None:
        start_replica()
        self._graph = graph(*stages)
        self._app = Routes(self._graph, Tokens.from_environment(), args).app()
        if has_direct_ingress():
            self._app.add_middleware(AlternativeService)

    async def check_health(self) -> None:
        await self._graph.check_health()

    async def manifest(self) -> dict[str, Any]:
        """Return the manifest of the loaded model, for callers with a deployment handle."""
        return await self._graph.manifest()

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Return the application. Serve calls this in the replica, so that nothing is pickled."""
        return self._app
