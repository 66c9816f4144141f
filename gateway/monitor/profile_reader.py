"""Read the reference profile of each model that answers, once."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from django.utils import timezone

from gateway.database import in_database
from gateway.errors import NotReady
from gateway.monitor.models import ReferenceProfile
from gateway.monitor.profile import ProfileReport, parse_profile
from gateway.predict.manifest import Manifest
from pipeline.errors import LesionserveError

logger = structlog.stdlib.get_logger(__name__)

_FIRST_AFTER_S = 3.0  # images come first
_EVERY_S = 60.0
_LOADS_S = 2.0  # how often it is asked for a model that is loading
_DATABASE_WITHIN_S = 5.0


class ProfileReader:
    """Store the profile of the model that is loaded, whenever another one is.

    ready: returns the loaded model, or raises NotReady. fetch: returns a ProfileReport as JSON, or
    raises LesionserveError.
    """

    def __init__(
        self, ready: Callable[[], Awaitable[Manifest]], fetch: Callable[[], Awaitable[bytes]]
    ) -> None:
        self._ready = ready
        self._fetch = fetch
        self._known: set[str] = set()

    async def run(self) -> None:
        """Look for another model once a minute, until cancelled."""
        await asyncio.sleep(_FIRST_AFTER_S)
        while True:
            wait_s = _EVERY_S
            try:
                await self.step()
            except NotReady:
                wait_s = _LOADS_S  # nothing is answered yet, and soon may be
            except LesionserveError as error:
                logger.warning("the model's profile cannot be read", reason=str(error))
            await asyncio.sleep(wait_s)

    async def step(self) -> None:
        """Read the profile of the loaded model, unless it is known. Raise LesionserveError."""
        digest = (await self._ready()).bundle_sha256
        if digest in self._known:
            return
        if not await in_database(_is_stored, digest, within_s=_DATABASE_WITHIN_S):
            report = await asyncio.to_thread(parse_profile, await self._fetch())
            digest = report.bundle_sha256
            await in_database(_store, report, within_s=_DATABASE_WITHIN_S)
        self._known.add(digest)


def _is_stored(digest: str) -> bool:
    """Return whether all is read; a row of before class names were told is read again."""
    rows = ReferenceProfile.objects.filter(bundle_sha256=digest, class_names__isnull=False)
    return rows.exists()


def _store(report: ProfileReport) -> None:
    profile = None if report.profile is None else report.profile.model_dump()
    row = ReferenceProfile(
        bundle_sha256=report.bundle_sha256,
        profile=profile,
        labels=report.labels,
        class_names=report.class_names,
        read_at=timezone.now(),
    )
    ReferenceProfile.objects.bulk_create(
        [row],
        update_conflicts=True,
        unique_fields=["bundle_sha256"],
        update_fields=["profile", "labels", "class_names", "read_at"],
    )
