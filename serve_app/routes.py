import asyncio
import re
import uuid
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from time import monotonic
from typing import TypeVar

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from pipeline.errors import (
    BadRequest,
    DeadlineExceeded,
    LesionserveError,
    Overloaded,
    PoisonImage,
    Unavailable,
)
from pipeline.http.correlation import HEADER, read_correlation_id, well_formed
from pipeline.http.query import read_query
from pipeline.schemas import PredictOptions, Problem
from pipeline.tracing.spans import annotate, note_error, resume
from serve_app.args import AppArgs
from serve_app.body import read_image
from serve_app.faults import ReplicaLost
from serve_app.graph import Graph
from serve_app.logs import serve_logger
from serve_app.tokens import Tokens

_log = serve_logger()

T = TypeVar("T")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_NO_STORE = {"Cache-Control": "no-store"}
_READY_WITHIN_S = 2.0


class Routes:
    """The HTTP routes over a graph. Errors become responses in `_problem`, and only there."""

    def __init__(self, graph: Graph, tokens: Tokens, args: AppArgs) -> None:
        self._graph = graph
        self._tokens = tokens
        self._max_bytes = args.image.max_bytes
        self._deadline = args.deadline
        self._answered_at: float | None = None
        self._in_flight = 0
        self._max_in_flight = args.graph.model.max_requests

    def app(self) -> FastAPI:
        """Return the ASGI application with these routes."""
        # The gateway is where the API is documented.
        app = FastAPI(openapi_url=None)
        # Plain routes: FastAPI's reading of arguments took a tenth of this process's time, and
        # what comes here is read by hand.
        app.add_route("/predict", self.predict, methods=["POST"])
        app.add_route("/model", self.model, methods=["GET"])
        app.add_route("/golden", self.golden, methods=["GET"])
        app.add_route("/profile", self.profile, methods=["GET"])
        app.add_route("/readyz", self.readyz, methods=["GET"])
        app.add_route("/healthz", self.healthz, methods=["GET"])
        for kind in (LesionserveError, HTTPException, Exception):
            app.add_exception_handler(kind, self._problem)
        app.router.redirect_slashes = False  # a redirect would drop the body
        return app

    async def predict(self, request: Request) -> Response:
        self._tokens.check(request.headers.get("authorization"))
        with resume("ingress", request.headers.get("traceparent")):
            try:
                response = await self._predict(request)
            except LesionserveError as error:
                note_error(error)
                response = await self._problem(request, error)  # logged with its trace
            annotate(status=response.status_code)
            return response

    async def _predict(self, request: Request) -> Response:
        correlation_id = read_correlation_id(request.headers.getlist(HEADER))
        options = read_query(request.query_params.multi_items(), PredictOptions)
        seconds = self._seconds(request)
        retried = False
        try:
            async with asyncio.timeout(seconds):
                data = await read_image(request, self._max_bytes)
                with self._slot():
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
            raise PoisonImage("Two replicas were lost with this image.") from error

    @contextmanager
    def _slot(self) -> Iterator[None]:
        """Take a slot, or raise Overloaded where the model, scaled out fully, has no room.

        Serve itself notices only after the stages before the model have done their work.
        """
        if self._in_flight >= self._max_in_flight:
            raise Overloaded("Too many requests are waiting.")
        self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1

    async def model(self, request: Request) -> Response:
        """Return the manifest of the loaded model."""
        self._tokens.check(request.headers.get("authorization"))
        manifest = await _loaded(self._graph.manifest(), self._deadline.default_s)
        return JSONResponse(manifest, headers=_NO_STORE)

    async def golden(self, request: Request) -> Response:
        """Return the golden cases of the loaded model, a GoldenReport."""
        self._tokens.check(request.headers.get("authorization"))
        report = await _loaded(self._graph.golden(), self._deadline.default_s)
        return Response(report, media_type="application/json", headers=_NO_STORE)

    async def profile(self, request: Request) -> Response:
        """Return the reference profile of the loaded model, a ProfileReport."""
        self._tokens.check(request.headers.get("authorization"))
        report = await _loaded(self._graph.profile(), self._deadline.default_s)
        return Response(report, media_type="application/json", headers=_NO_STORE)

    async def readyz(self, _: Request) -> Response:
        """Return 200 where a loaded model answers, or did within the last seconds; else 503."""
        if self._answered_at is None or monotonic() - self._answered_at > _READY_WITHIN_S:
            await _loaded(self._graph.manifest(), _READY_WITHIN_S)
        return JSONResponse({"status": "ready"}, headers=_NO_STORE)

    async def healthz(self, _: Request) -> Response:
        """Return 200: this process answers."""
        return JSONResponse({"status": "ok"}, headers=_NO_STORE)

    def _seconds(self, request: Request) -> float:
        deadline_ms = request.headers.get("x-deadline-ms")
        if deadline_ms is None:
            return self._deadline.default_s
        if not re.fullmatch(r"[0-9]{1,9}", deadline_ms):
            raise BadRequest("X-Deadline-Ms must be a whole number of milliseconds.")
        return min(int(deadline_ms) / 1000, self._deadline.max_s)

    async def _problem(self, request: Request, error: Exception) -> Response:
        request_id = _request_id(request)
        correlation_id = well_formed(request.headers.getlist(HEADER))
        if isinstance(error, HTTPException):  # the router's 404 and 405
            status = HTTPStatus(error.status_code)
            problem = Problem(
                title=status.phrase,
                status=status,
                detail=status.description,
                code=status.name.lower(),
                request_id=request_id,
                correlation_id=correlation_id,
            )
            headers = dict(error.headers or {})
        else:
            if not isinstance(error, LesionserveError):
                # A fault of ours: its traceback goes to the log, not to the caller.
                error = LesionserveError("The service failed.")
            problem = Problem.of(error, request_id, correlation_id)
            headers = error.headers()
        _log.info("refused", status=int(problem.status), code=problem.code)
        return Response(
            problem.model_dump_json(),
            status_code=problem.status,
            media_type="application/problem+json",
            headers=_NO_STORE | headers | _correlation(correlation_id),
        )


async def _loaded(question: Awaitable[T], seconds: float) -> T:
    """Return the answer of a loaded model. Raise Unavailable where none comes within `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            return await question
    except TimeoutError as error:
        raise Unavailable("The model is not loaded.") from error


def _correlation(correlation_id: str | None) -> dict[str, str]:
    return {} if correlation_id is None else {HEADER: correlation_id}


def _request_id(request: Request) -> str:
    """Return the caller's X-Request-ID where it is well formed, else an id of our own."""
    if not hasattr(request.state, "request_id"):
        value = request.headers.get("x-request-id", "")
        request.state.request_id = value if _REQUEST_ID.fullmatch(value) else str(uuid.uuid4())
    request_id: str = request.state.request_id
    return request_id
