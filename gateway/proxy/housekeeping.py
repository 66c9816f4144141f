import asyncio

import structlog

from gateway.database import background
from gateway.proxy.idempotency import forget_expired
from gateway.usage.sweep import sweep
from gateway.usage.tally import fold

logger = structlog.stdlib.get_logger(__name__)

_EVERY_S = 60


async def keep_house() -> None:
    """What each worker does once a minute, until it is cancelled; that others do it too is no
    harm."""
    while True:
        for chore in (sweep, fold, forget_expired):
            try:
                await background(chore)
            except Exception:
                # Whatever it was: the other chores, and the next minute's, must not end with it.
                logger.exception("chore failed, tried again in a minute", chore=chore.__name__)
        await asyncio.sleep(_EVERY_S)
