import asyncio
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from time import monotonic
from typing import Any

from fastapi import FastAPI
from ray.serve.handle import DeploymentHandle
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from pipeline.errors import (
    BadRequest,
    DeadlineExceeded,
    LesionserveError,
    Overloaded,
    Poison,
    Unauthorized,
    Unavailable,
)
from pipeline.http.correlation import HEADER, read_correlation_id, well_formed
from pipeline.http.query import read_query
from pipeline.schemas import PredictOptions, Problem
from serve_app.args import AppArgs
from serve_app.body import read_image
from serve_app.faults import ReplicaLost
from serve_app.graph import Graph
from serve_app.logs import serve_logger
from serve_app.tokens import Tokens

_log = serve_logger()

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_NO_STORE = {"Cache-Control": "no-store"}
_RETRY_AFTER_S = "1"
_READY_WITHIN_S = 2.0


class Ingress:
    """The HTTP routes over a graph. Every error becomes a status in `_problem`, and only there."""

    def __init__(self, graph: Graph, tokens: Tokens, args: AppArgs) -> None:
        self._graph = graph
        self._tokens = tokens
        self._max_bytes = args.image.max_bytes
        self._deadline = args.deadline
        self._answered_at: float | None = None
        self._inside = 0
        self._most_inside = args.graph.model.most_requests

    def app(self) -> FastAPI:
        # The gateway is where the API is documented.
        app = FastAPI(openapi_url=None)
        # Plain routes: FastAPI's reading of arguments took a tenth of this process's time, and
        # what comes here is read by hand.
        app.add_route("/predict", self.predict, methods=["POST"])
        app.add_route("/model", self.model, methods=["GET"])
        app.add_route("/readyz", self.readyz, methods=["GET"])
        app.add_route("/healthz", self.healthz, methods=["GET"])
        for kind in (LesionserveError, HTTPException, Exception):
            app.add_exception_handler(kind, self._problem)
        app.router.redirect_slashes = False  # a redirect would drop the body
        return app

    async def predict(self, request: Request) -> Response:
        self._tokens.check(request.headers.get("authorization"))
        correlation_id = read_correlation_id(request.headers.getlist(HEADER))
        options = read_query(request.query_params.multi_items(), PredictOptions)
        seconds = self._seconds(request)
        retried = False
        try:
            async with asyncio.timeout(seconds):
                data = await read_image(request, self._max_bytes)
                with self._room():
                    try:
                        answer = await self._graph.predict(
                            _request_id(request), data, options, correlation_id
                        )
                    except ReplicaLost:
                        # Inference is pure, so another replica may be asked, once.
                        retried = True
                        answer = await self._again(
                            _request_id(request), data, options, correlation_id
                        )
        except TimeoutError as error:
            if retried:
                raise Unavailable("No replica came back to finish the request.") from error
            raise DeadlineExceeded(f"Not finished within {seconds:g} s.") from error
        self._answered_at = monotonic()
        _log.info("answered", image_bytes=len(data), answer_bytes=len(answer))
        headers = _NO_STORE | _correlation(correlation_id)
        return Response(answer, media_type="application/json", headers=headers)

    async def _again(
        self, request_id: str, data: bytes, options: PredictOptions, correlation_id: str | None
    ) -> bytes:
        _log.warning("replica lost", request_id=request_id)
        try:
            return await self._graph.predict(request_id, data, options, correlation_id)
        except ReplicaLost as error:
            raise Poison("Two replicas were lost with this image.") from error

    @contextmanager
    def _room(self) -> Iterator[None]:
        """Raises Overloaded at once for what the model could not take even at its largest. Serve
        notices only after the stages before the model, which are then busy with it."""
        if self._inside >= self._most_inside:
            raise Overloaded("Too many requests are waiting.")
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1

    async def model(self, request: Request) -> Response:
        self._tokens.check(request.headers.get("authorization"))
        return JSONResponse(await self._manifest(self._deadline.default_s), headers=_NO_STORE)

    async def readyz(self, _: Request) -> Response:
        """Ready means that a loaded model answers, or has just done so: a busy one is ready."""
        if self._answered_at is None or monotonic() - self._answered_at > _READY_WITHIN_S:
            await self._manifest(_READY_WITHIN_S)
        return JSONResponse({"status": "ready"}, headers=_NO_STORE)

    async def healthz(self, _: Request) -> Response:
        return JSONResponse({"status": "ok"}, headers=_NO_STORE)

    async def _manifest(self, seconds: float) -> dict[str, Any]:
        try:
            async with asyncio.timeout(seconds):
                return await self._graph.manifest()
        except TimeoutError as error:
            raise Unavailable("The model is not loaded.") from error

    def _seconds(self, request: Request) -> float:
        asked = request.headers.get("x-deadline-ms")
        if asked is None:
            return self._deadline.default_s
        if not re.fullmatch(r"[0-9]{1,9}", asked):
            raise BadRequest("X-Deadline-Ms must be a whole number of milliseconds.")
        return min(int(asked) / 1000, self._deadline.max_s)

    async def _problem(self, request: Request, error: Exception) -> Response:
        request_id = _request_id(request)
        correlation_id = well_formed(request.headers.getlist(HEADER))
        if isinstance(error, HTTPException):  # the router's 404 and 405
            status = HTTPStatus(error.status_code)
            code = status.name.lower()
            problem = Problem(
                title=status.phrase,
                status=status,
                detail=status.description,
                code=code,
                request_id=request_id,
                correlation_id=correlation_id,
            )
        elif isinstance(error, LesionserveError):
            problem = Problem.of(error, request_id, correlation_id)
        else:  # a fault of ours; its traceback goes to the log, not to the caller
            problem = Problem.of(
                LesionserveError("The service failed."), request_id, correlation_id
            )
        _log.info("refused", status=int(problem.status), code=problem.code)
        return Response(
            problem.model_dump_json(),
            status_code=problem.status,
            media_type="application/problem+json",
            headers=_NO_STORE | _hints(error) | _correlation(correlation_id),
        )


def _hints(error: Exception) -> dict[str, str]:
    """The headers that tell a caller what to do about the error."""
    if isinstance(error, HTTPException):
        return dict(error.headers or {})
    if isinstance(error, Unauthorized):
        return {"WWW-Authenticate": "Bearer"}
    if isinstance(error, Overloaded | Unavailable):
        return {"Retry-After": _RETRY_AFTER_S}
    return {}


def _correlation(correlation_id: str | None) -> dict[str, str]:
    return {} if correlation_id is None else {HEADER: correlation_id}


def _request_id(request: Request) -> str:
    """The caller's id where it is well formed, else our own; the same for the whole request."""
    if not hasattr(request.state, "request_id"):
        given = request.headers.get("x-request-id", "")
        request.state.request_id = given if _REQUEST_ID.fullmatch(given) else str(uuid.uuid4())
    request_id: str = request.state.request_id
    return request_id


class FrontDoor:
    """The ingress as a Serve deployment: a graph over the stages' handles, if they are elsewhere,
    and the routes on it."""

    def __init__(
        self, args: AppArgs, graph: Callable[..., Graph], *stages: DeploymentHandle[Any]
    ) -> None:
        self._graph = graph(*stages)
        self._app = Ingress(self._graph, Tokens.from_environment(), args).app()

    async def check_health(self) -> None:
        await self._graph.check_health()

    async def manifest(self) -> dict[str, Any]:
        """Return the manifest of the loaded model, for callers with a deployment handle."""
        return await self._graph.manifest()

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Serve calls this in the replica, so that the app need not be pickled."""
        return self._app
