import threading
from collections.abc import Callable
from typing import Any

from ray import serve

from pipeline.errors import LesionserveError, Unavailable
from pipeline.schemas import PredictOptions
from serve_app.graph import Graph
from serve_app.logs import serve_logger
from serve_app.status import read_states

_log = serve_logger()

RELOAD_THREAD = "reload of the model"
_RETRY_AFTER_S = 5.0
# Errors of the bundle, the decoders, the disk, and the libraries that load the model.
_LOAD_ERRORS = (LesionserveError, OSError, RuntimeError)


class ReplaceableGraph:
    """A graph that can start without its model, where no other replica could serve.

    A replica of a new version fails to start where its model does not load, so the old version
    keeps serving. But a replica that replaces the last one of a version that has served starts
    without a model: it refuses requests at once, and tries again to load the model until the bundle
    is repaired or another one is deployed.
    """

    def __init__(
        self,
        build: Callable[[], Graph],
        is_last_resort: Callable[[], bool] | None = None,
        retry_after_s: float = _RETRY_AFTER_S,
    ) -> None:
        """Build the graph. Raise what `build` raises where another version or replica can serve."""
        self._build = build
        self._graph: Graph | None = None
        self._reason = ""
        self._gave_up = False
        try:
            self._graph = build()
        except _LOAD_ERRORS as error:
            if not (is_last_resort or _is_last_resort)():
                raise
            self._report(error)
            arguments = (retry_after_s,)
            threading.Thread(None, self._reload, RELOAD_THREAD, arguments, daemon=True).start()

    async def predict(
        self,
        request_id: str,
        data: bytes,
        options: PredictOptions,
        correlation_id: str | None = None,
    ) -> bytes:
        return await self._loaded().predict(request_id, data, options, correlation_id)

    async def manifest(self) -> dict[str, Any]:
        return await self._loaded().manifest()

    async def golden(self) -> bytes:
        return await self._loaded().golden()

    async def profile(self) -> bytes:
        return await self._loaded().profile()

    async def check_health(self) -> None:
        # A replica without a model is healthy: a new one could not load it either.
        if self._graph is not None:
            await self._graph.check_health()
        elif self._gave_up:
            raise Unavailable(
                "The model could not be loaded again; the log of the service says why."
            )

    def _loaded(self) -> Graph:
        if self._graph is None:
            # The reason names files of the server, so it is in the log only.
            raise Unavailable("The model cannot be loaded; the log of the service says why.")
        return self._graph

    def _reload(self, retry_after_s: float) -> None:
        try:
            pause = threading.Event()
            while self._graph is None:
                pause.wait(retry_after_s)
                try:
                    self._graph = self._build()
                except _LOAD_ERRORS as error:
                    self._report(error)
            _log.warning("the model is loaded again")
        finally:
            # After any other error the replica is unhealthy, so Ray replaces it.
            self._gave_up = self._graph is None

    def _report(self, error: Exception) -> None:
        reason = f"{type(error).__name__}: {error}"
        if reason != self._reason:
            self._reason = reason
            # In the message: Ray's plain log format drops named values.
            _log.error(f"every request is refused, the model cannot be loaded: {reason}")


def _is_last_resort() -> bool:
    """Return whether this replica's version has served and none of its replicas runs now."""
    context = serve.get_replica_context()
    state = read_states(context.app_name).get(context.deployment)
    return state is not None and not state.is_rolling and state.running == 0
