import asyncio

import structlog

from gateway.audit.metrics import refresh_audit_metrics
from gateway.audit.sweep import sweep
from gateway.database import background
from gateway.host_metrics import refresh_host_metrics
from gateway.monitor.alerts import prune_alerts
from gateway.monitor.rollouts.outcomes import prune_comparisons
from gateway.monitor.runs import prune_runs
from gateway.monitor.served import note_served_models
from gateway.monitor.watch_metrics import refresh_watch_metrics
from gateway.monitor.watcher import prune_observations, run_watches
from gateway.predict import metrics
from gateway.predict.idempotency import forget_expired
from gateway.reviews.precision import refresh_precision
from gateway.usage.observations import sketch_days
from gateway.usage.tally import fold

logger = structlog.stdlib.get_logger(__name__)

_EVERY_S = 60


async def run_maintenance() -> None:
    """Run the periodic tasks once a minute until cancelled.

    Every worker process runs them; each task is safe to run in several processes at once.
    """
    while True:
        for run, task in (
            (asyncio.to_thread, refresh_host_metrics),  # also while the database is away
            (background, close_open_records),
            (background, refresh_audit_metrics),
            (background, fold),
            (background, forget_expired),
            (background, note_served_models),
            (background, prune_runs),
            (background, prune_alerts),
            (background, run_watches),
            (background, refresh_watch_metrics),
            (background, sketch_days),
            (background, prune_observations),
            (background, refresh_precision),
            (background, prune_comparisons),
        ):
            try:
                await run(task)
            except Exception:
                # After any error the other tasks run, and this one again in the next minute.
                logger.exception("periodic task failed, retried in a minute", task=task.__name__)
        await asyncio.sleep(_EVERY_S)


def close_open_records() -> None:
    """Close the records that a crash left open, and count each as `unknown`; blocking."""
    for record in sweep():
        metrics.observe(record)
