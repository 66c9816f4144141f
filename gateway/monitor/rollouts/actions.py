"""Actions on rollouts. Each function changes one and writes its event, in one transaction."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.utils import timezone

from gateway.audit.events import GATEWAY, Actor, record_event
from gateway.audit.models import Event
from gateway.monitor.models import Rollout
from gateway.monitor.rollouts.candidate import LoadedModel
from gateway.people.models import Organisation
from pipeline.text import one_line

_EVENTS = {
    Rollout.State.PROMOTED: Event.Action.ROLLOUT_PROMOTED,
    Rollout.State.ABORTED: Event.Action.ROLLOUT_ABORTED,
    Rollout.State.ROLLED_BACK: Event.Action.ROLLOUT_ROLLED_BACK,
}


class RolloutError(Exception):
    """The action is not possible now. `str(error)` says why."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a rollout accepts of its candidate; the fields are those of `Rollout`."""

    alpha: float = 0.01
    max_disagreement: float = 0.02
    max_errors: float = 0.01
    max_slow: float = 0.2
    slow_factor: float = 2.0
    patience_s: float = 5.0

    def __post_init__(self) -> None:
        """Raise RolloutError for a value that no test can have."""
        for name in ("alpha", "max_disagreement", "max_errors", "max_slow"):
            if not 0 < getattr(self, name) < 1:
                raise RolloutError(f"{name} is a share between 0 and 1")
        if self.slow_factor < 1 or not 0 < self.patience_s <= 600:
            raise RolloutError("slow_factor is at least 1, and patience_s is from 0 to 600 seconds")


def running() -> Rollout | None:
    """Return the rollout that runs, or None; blocking."""
    return Rollout.objects.filter(state=Rollout.State.RUNNING).first()


@transaction.atomic
def start(
    candidate_sha256: str,
    mode: Rollout.Mode,
    percent: int,
    organisations: Iterable[Organisation],
    terms: Terms,
    *,
    by: Actor,
) -> Rollout:
    """Start a rollout. Raise RolloutError where one runs already."""
    try:
        with transaction.atomic():
            rollout = Rollout.objects.create(
                candidate_sha256=candidate_sha256,
                mode=mode,
                percent=percent,
                alpha=terms.alpha,
                max_disagreement=terms.max_disagreement,
                max_errors=terms.max_errors,
                max_slow=terms.max_slow,
                slow_factor=terms.slow_factor,
                patience_s=terms.patience_s,
            )
    except IntegrityError as error:
        raise RolloutError("a rollout runs already; promote or abort it first") from error
    rollout.organisations.set(organisations)
    subject = f"{_name(rollout)} {mode.value} {percent} %"
    record_event(Event.Action.ROLLOUT_STARTED, by, subject=subject)
    return rollout


def begin(rollout: Rollout, stable: LoadedModel, candidate: LoadedModel) -> Rollout:
    """Note that both models answer, and which they are; blocking. Return the rollout as it is now.

    From then on, images take part.
    """
    Rollout.objects.filter(pk=rollout.pk, seen_at=None).update(
        seen_at=timezone.now(),
        stable_sha256=stable.bundle_sha256,
        stable_threshold=stable.score_threshold,
        candidate_threshold=candidate.score_threshold,
    )
    return Rollout.objects.get(pk=rollout.pk)


@transaction.atomic
def promote(*, by: Actor) -> Rollout:
    """Decide that the candidate becomes the stable model; blocking.

    The rollout goes on until the stable application serves the bundle. Raise RolloutError where
    none runs, or that was decided before.
    """
    rollout = _require_running()
    undecided = Rollout.objects.filter(pk=rollout.pk, promotion_at=None)
    if not undecided.update(promotion_at=timezone.now()):
        raise RolloutError("this was decided before; deploy the bundle as the stable one")
    record_event(Event.Action.ROLLOUT_PROMOTED, by, subject=_name(rollout))
    return rollout


def abort(reason: str, *, by: Actor) -> Rollout:
    """End the rollout; blocking. Raise RolloutError where none runs."""
    rollout = _require_running()
    end(rollout, Rollout.State.ABORTED, reason, by=by)
    return rollout


@transaction.atomic
def end(rollout: Rollout, state: Rollout.State, reason: str = "", *, by: Actor = GATEWAY) -> bool:
    """End a rollout for good; blocking. Return False where it has ended already.

    That a promotion is done is no event where a person decided it, which was one.
    """
    reason = one_line(reason, 300)
    is_ours = Rollout.objects.filter(pk=rollout.pk, state=Rollout.State.RUNNING).update(
        state=state, reason=reason, ended_at=timezone.now()
    )
    if is_ours and (state != Rollout.State.PROMOTED or rollout.promotion_at is None):
        subject = f"{_name(rollout)} {reason}".strip()
        record_event(_EVENTS[state], by, subject=subject)
    if is_ours:
        rollout.state, rollout.reason = state, reason
    return is_ours == 1


def _require_running() -> Rollout:
    rollout = running()
    if rollout is None:
        raise RolloutError("no rollout runs")
    return rollout


def _name(rollout: Rollout) -> str:
    return f"rollout:{rollout.pk} {rollout.candidate_sha256[:12]}"
