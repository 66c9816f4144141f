import asyncio

import structlog

from gateway.audit.sweep import sweep
from gateway.database import background
from gateway.monitor.alerts import prune_alerts
from gateway.monitor.runs import prune_runs
from gateway.monitor.served import note_served_models
from gateway.predict.idempotency import forget_expired
from gateway.usage.tally import fold

logger = structlog.stdlib.get_logger(__name__)

_EVERY_S = 60


async def run_maintenance() -> None:
    """Run the periodic tasks once a minute until cancelled.

    Every worker process runs them; each task is safe to run in several processes at once.
    """
    while True:
        for task in (sweep, fold, forget_expired, note_served_models, prune_runs, prune_alerts):
            try:
                await background(task)
            except Exception:
                # After any error the other tasks run, and this one again in the next minute.
                logger.exception("periodic task failed, retried in a minute", task=task.__name__)
        await asyncio.sleep(_EVERY_S)
