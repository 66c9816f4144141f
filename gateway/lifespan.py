import asyncio
import gc

from asgiref.typing import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, Scope
from django.conf import settings

from gateway.access.limits import Limiter
from gateway.database import close_connections
from gateway.maintenance import run_maintenance
from gateway.monitor import page
from gateway.monitor.profile_reader import ProfileReader
from gateway.monitor.schedule import ProbeSchedule, prober_of
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
        upstream = Upstream.connect(
            url=settings.UPSTREAM_URL,
            token=settings.SERVICE_TOKEN,
            deadline_s=settings.DEADLINE_S,
            ca=settings.UPSTREAM_CA,
            certificate=settings.UPSTREAM_CERTIFICATE,
        )
        scope["state"]["upstream"] = upstream
        scope["state"]["require_writable"] = SingleFlight(require_writable)
        scope["state"]["limiter"] = Limiter(settings.RATES, settings.REDIS_URL)
        scope["state"]["prometheus"] = prometheus = page.connect()
        MAX_IN_FLIGHT.set(settings.MAX_IN_FLIGHT)
        profiles = ProfileReader(upstream.ready, upstream.profile)
        tasks = [asyncio.create_task(run_maintenance()), asyncio.create_task(profiles.run())]
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
        if prometheus is not None:
            await prometheus.close()
        await asyncio.to_thread(close_connections)
        await asyncio.to_thread(spans.stop)
        await send({"type": "lifespan.shutdown.complete"})
