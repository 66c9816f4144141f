"""One probe: a golden image, sent to the public address as a client would send it.

It passes all that a client's image passes: TLS, the key, limits, the audit trail and both halves.
The answer is judged by its lesions, not by its status alone.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from time import perf_counter
from uuid import UUID

import httpx
import structlog
from django.utils import timezone
from pydantic import ValidationError

from gateway.environment import ProbeSettings
from gateway.monitor.golden import GoldenCase, GoldenSet
from gateway.monitor.models import ProbeRun
from gateway.predict.exchange import is_tls_error
from pipeline.bundle.golden import compare, is_comparable
from pipeline.errors import BundleError, LesionserveError
from pipeline.schemas import Prediction, PredictOptions, Problem
from pipeline.text import one_line

logger = structlog.stdlib.get_logger(__name__)

# The gateway itself gives up at its deadline, and its answer says why; beyond this margin no
# answer comes.
_MARGIN_S = 10.0
_CONNECT_S = 5.0
_MAX_ANSWER_BYTES = 64 * 1024 * 1024

_OPTIONS = PredictOptions(masks="rle", visualization="none")

Result = ProbeRun.Result


class Prober:
    """Send probes, and judge the answers by the golden cases of the model that is loaded.

    `fetch` returns the golden cases; they are kept until an answer does not agree with them, as
    after a new model was deployed.
    """

    def __init__(
        self,
        settings: ProbeSettings,
        deadline_s: float,
        fetch: Callable[[], Awaitable[GoldenSet]],
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._settings = settings
        self._within_s = deadline_s + _MARGIN_S
        self._fetch = fetch
        self._transport = transport
        self._trust = ssl.create_default_context(cafile=settings.ca and str(settings.ca))
        self._golden: GoldenSet | None = None

    async def run(self, turn: int) -> ProbeRun:
        """Send the golden case whose turn it is, and return the outcome, which is not saved."""
        golden = self._golden
        try:
            if golden is None:
                golden = self._golden = await self._fetch()
        except LesionserveError as error:
            return _failed(ProbeRun(), "no_golden", f"No golden case could be fetched: {error}")
        run = await self._probe(golden, turn)
        if run.result == Result.DISAGREED:
            fresh = await self._fetch_again(golden)
            if fresh != golden:
                self._golden = fresh
                run = await self._probe(fresh, turn)
        return run

    async def _fetch_again(self, golden: GoldenSet) -> GoldenSet:
        """Return the golden cases as they are now, or the known ones where they cannot be had."""
        try:
            return await self._fetch()
        except LesionserveError as error:
            logger.warning("the golden cases cannot be fetched again", error=str(error))
            return golden

    async def _probe(self, golden: GoldenSet, turn: int) -> ProbeRun:
        case = golden.cases[turn % len(golden.cases)]
        # The name of a file may be longer than the column.
        run = ProbeRun(at=timezone.now(), case=case.name[: ProbeRun.MAX_CASE])
        started = perf_counter()
        try:
            async with asyncio.timeout(self._within_s):
                run.status, headers, body = await self._post(case.image)
        except (TimeoutError, httpx.TimeoutException):
            return _failed(run, "timeout", f"No answer came within {self._within_s:g} s.")
        except _TooLarge:
            return _failed(run, "invalid_answer", "The answer is too large for a prediction.")
        except httpx.HTTPError as error:
            code = "tls" if is_tls_error(error) else "unreachable"
            return _failed(run, code, f"The public address cannot be reached: {error}")
        finally:
            run.seconds = perf_counter() - started
        run.request_id = _uuid(headers.get("x-request-id", ""))
        return await asyncio.to_thread(_judge, run, golden, case, body)

    async def _post(self, image: bytes) -> tuple[int, httpx.Headers, bytes]:
        # A new connection each time, as a new client has one: a certificate that expires shows.
        async with (
            httpx.AsyncClient(
                verify=self._trust,
                trust_env=False,
                timeout=httpx.Timeout(None, connect=_CONNECT_S),
                transport=self._transport,
            ) as client,
            client.stream(
                "POST",
                f"{self._settings.url}/predict/",
                params=_OPTIONS.model_dump(exclude_none=True),
                headers={
                    "X-API-Key": self._settings.key,
                    "User-Agent": "lesionserve-probe",
                    "Accept-Encoding": "identity",
                },
                files={"file": ("image", image)},
            ) as response,
        ):
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > _MAX_ANSWER_BYTES:
                    raise _TooLarge
            return response.status_code, response.headers, bytes(body)


class _TooLarge(Exception):
    """The answer is larger than any prediction without a picture."""


def _judge(run: ProbeRun, golden: GoldenSet, case: GoldenCase, body: bytes) -> ProbeRun:
    """Set the result by the answer, and return the run."""
    if run.status != 200:
        return _refused(run, body)
    try:
        prediction = Prediction.model_validate_json(body, strict=True, extra="ignore")
    except ValidationError:
        return _failed(run, "invalid_answer", "The answer is no prediction.")
    run.bundle_sha256 = prediction.model.bundle_sha256
    if run.bundle_sha256 != golden.bundle_sha256:
        return _disagreed(
            run,
            "other_model",
            f"Another model answered than the one that is loaded, {golden.bundle_sha256[:12]}.",
        )
    if not is_comparable(prediction.detections):
        return _failed(run, "invalid_answer", "The masks of the answer are damaged.")
    try:
        agreement = compare(case.name, case.expected, prediction.detections, golden.score_threshold)
    except BundleError as error:
        return _disagreed(run, "other_lesions", str(error))
    run.result = Result.AGREED
    for name, value in asdict(agreement).items():
        setattr(run, name, value)
    return run


def _refused(run: ProbeRun, body: bytes) -> ProbeRun:
    try:
        problem = Problem.model_validate_json(body, strict=True, extra="ignore")
    except ValidationError:
        return _failed(run, "no_prediction", f"The answer is a {run.status} without a reason.")
    return _failed(run, problem.code, problem.detail)


def _failed(run: ProbeRun, code: str, detail: str) -> ProbeRun:
    return _with(run, Result.FAILED, code, detail)


def _disagreed(run: ProbeRun, code: str, detail: str) -> ProbeRun:
    return _with(run, Result.DISAGREED, code, detail)


def _with(run: ProbeRun, result: Result, code: str, detail: str) -> ProbeRun:
    # The text may come from whatever answers at the public address.
    run.result, run.error_code, run.detail = result, one_line(code, 64), one_line(detail)
    return run


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
