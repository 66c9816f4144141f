import asyncio
import gc

from asgiref.typing import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, Scope
from django.conf import settings

from gateway.access.limits import Limiter
from gateway.database import close_connections
from gateway.maintenance import run_maintenance
from gateway.monitor import page
from gateway.monitor.profile_reader import ProfileReader
from gateway.monitor.rollouts.candidate import PATH as CANDIDATE_PATH
from gateway.monitor.rollouts.forwarder import RolloutForwarder
from gateway.monitor.rollouts.schedule import RolloutSchedule
from gateway.monitor.schedule import ProbeSchedule, prober_of
from gateway.predict.forwarding import StableForwarder
from gateway.predict.metrics import MAX_IN_FLIGHT
from gateway.predict.readiness import require_writable
from gateway.predict.upstream import Upstream
from gateway.single_flight import SingleFlight
from pipeline.tracing import spans


class Lifespan:
    """Open what lives as long as the server: Django's ASGI handler ignores the lifespan protocol.

    The connection pool and the rate limits are in the lifespan's state, which each request finds in
    its own `scope["state"]`.
    """

    def __init__(self, app: ASGI3Application) -> None:
        self.app = app

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        elif scope["type"] == "http":
            await self.app(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000, "reason": ""})

    async def _live(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        await receive()
        if settings.OTLP_ENDPOINT is not None:
            spans.start(settings.OTLP_ENDPOINT, "lesionserve-gateway")
        upstream = _connect()
        candidate = _connect(CANDIDATE_PATH)
        scope["state"]["upstream"] = upstream
        scope["state"]["require_writable"] = SingleFlight(require_writable)
        scope["state"]["limiter"] = Limiter(settings.RATES, settings.REDIS_URL)
        scope["state"]["prometheus"] = prometheus = page.connect()
        MAX_IN_FLIGHT.set(settings.MAX_IN_FLIGHT)
        profiles = ProfileReader(upstream.ready, upstream.profile)
        tasks = [asyncio.create_task(run_maintenance()), asyncio.create_task(profiles.run())]
        scope["state"]["forwarder"] = StableForwarder(upstream)
        if settings.PUBLIC_DEMO_KEY is None:
            forwarder = RolloutForwarder(upstream, candidate, settings.DEADLINE_S)
            scope["state"]["forwarder"] = forwarder
            rollouts = RolloutSchedule(forwarder, upstream, candidate)
            tasks += [asyncio.create_task(part.run()) for part in (rollouts, forwarder.mirror)]
        if settings.PROBE is not None:
            prober = prober_of(settings.PROBE, upstream, settings.DEADLINE_S)
            schedule = ProbeSchedule(prober, settings.PROBE.every_s, upstream.ready)
            tasks.append(asyncio.create_task(schedule.run()))
        # What is loaded now stays: without it, the collector passes over less.
        gc.collect()
        gc.freeze()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await upstream.close()
        await candidate.close()
        if prometheus is not None:
            await prometheus.close()
        await asyncio.to_thread(close_connections)
        await asyncio.to_thread(spans.stop)
        await send({"type": "lifespan.shutdown.complete"})


def _connect(path: str = "") -> Upstream:
    """Return a client of the ingress, or of the application at `path` beside it.

    Only the ingress itself is followed to its own port: Ray's proxy is asked for the other one.
    """
    return Upstream.connect(
        url=f"{settings.UPSTREAM_URL}{path}",
        token=settings.SERVICE_TOKEN,
        deadline_s=settings.DEADLINE_S,
        ca=settings.UPSTREAM_CA,
        certificate=settings.UPSTREAM_CERTIFICATE,
        follows=not path,
    )
