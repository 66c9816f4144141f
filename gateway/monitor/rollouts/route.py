import hashlib
from dataclasses import dataclass

from gateway.monitor.models import Rollout
from gateway.predict.forwarding import Sender


@dataclass(frozen=True, slots=True)
class Route:
    """Which images take part in a running rollout, as a gateway process holds it in memory.

    thresholds: the score thresholds of the stable model and of the candidate.
    """

    rollout: int
    is_canary: bool
    percent: int
    organisations: frozenset[int]
    candidate_sha256: str
    stable_sha256: str
    thresholds: tuple[float, float]
    slow_factor: float
    patience_s: float

    def takes(self, sender: Sender) -> bool:
        """Return whether an image of the sender takes part: all images of an examination, or none.

        The share of the examinations is chosen by a hash, other ones in each rollout. Probes never
        take part, since they expect the stable model's answers.
        """
        if sender.is_probe:
            return False
        if self.organisations and sender.organisation not in self.organisations:
            return False
        text = f"{self.rollout}\n{sender.organisation}\n{sender.examination}"
        place = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) / 2**64
        return place < self.percent / 100


def route_of(rollout: Rollout) -> Route:
    """Return the route of a rollout whose models were found to answer; blocking."""
    return Route(
        rollout=rollout.pk,
        is_canary=rollout.mode == Rollout.Mode.CANARY,
        percent=rollout.percent,
        organisations=frozenset(rollout.organisations.values_list("pk", flat=True)),
        candidate_sha256=rollout.candidate_sha256,
        stable_sha256=rollout.stable_sha256,
        thresholds=(rollout.stable_threshold or 0.0, rollout.candidate_threshold or 0.0),
        slow_factor=rollout.slow_factor,
        patience_s=rollout.patience_s,
    )
