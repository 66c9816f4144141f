import asyncio
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from gateway import terminal
from gateway.environment import ProbeSettings
from gateway.monitor.lease import next_turn
from gateway.monitor.models import ProbeRun
from gateway.monitor.schedule import prober_of
from gateway.predict.upstream import Upstream


class Command(terminal.Command):
    help = (
        "Sends one probe now, with the settings of the gateway, and prints the verdict. Exits with "
        "1 unless the expected lesions came back. It counts among the probes of the gateways."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        probe: ProbeSettings | None = settings.PROBE
        if probe is None:
            raise CommandError(
                "there is no probe: set LESIONSERVE_PROBE_KEY and LESIONSERVE_PROBE_URL"
            )
        run = asyncio.run(_run(probe, next_turn()))
        run.save()
        self.stdout.write(_verdict(run))
        if not run.agrees:
            sys.exit(1)


async def _run(probe: ProbeSettings, turn: int) -> ProbeRun:
    upstream = Upstream.connect(
        url=settings.UPSTREAM_URL,
        token=settings.SERVICE_TOKEN,
        deadline_s=settings.DEADLINE_S,
        ca=settings.UPSTREAM_CA,
        certificate=settings.UPSTREAM_CERTIFICATE,
    )
    try:
        return await prober_of(probe, upstream, settings.DEADLINE_S).run(turn)
    finally:
        await upstream.close()


def _verdict(run: ProbeRun) -> str:
    parts = [str(run.result)]
    if run.case:
        parts.append(f"case {run.case}")
    if run.seconds is not None:
        parts.append(f"{run.seconds:.2f} s")
    if run.bundle_sha256:
        parts.append(f"model {run.bundle_sha256[:12]}")
    if run.request_id is not None:
        parts.append(f"request {run.request_id}")
    if run.error_code:
        parts.append(f"{run.error_code}: {run.detail}")
    return ", ".join(parts)
