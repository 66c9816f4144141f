from prometheus_client import Counter

from gateway.metrics import by_label, last_known
from gateway.monitor.models import Rollout
from gateway.monitor.rollouts.evidence import TESTS, Evidence
from pipeline.comparison import ImageComparison

# What became of the images that took part.
ANSWERED = "answered"  # the candidate answered the client
FALLBACK = "fallback"  # the candidate failed, and the stable model answered the client
COMPARED = "compared"
FAILED = "failed"  # the candidate failed after the client was answered
DROPPED = "dropped"  # not compared, for lack of room in the queue

_NAME = "lesionserve_gateway_rollout"

IMAGES = Counter(f"{_NAME}_images", "Images that took part in a rollout.", ["result"])
LESIONS = Counter(f"{_NAME}_lesions", "Lesions that were compared.", ["change"])
ENDED = Counter(f"{_NAME}_ended", "Rollouts that the gateway has ended by itself.", ["state"])
RUNNING = last_known(f"{_NAME}_running", "1 while a rollout runs, else 0.")
EVIDENCE = last_known(
    f"{_NAME}_evidence",
    "The share of the evidence with which a test rolls the candidate back; 1: it does.",
    ["test"],
)

_images = by_label(IMAGES, (ANSWERED, FALLBACK, COMPARED, FAILED, DROPPED))
_lesions = by_label(LESIONS, ("agreed", "borderline", "reclassified", "added", "lost"))
_ended = by_label(ENDED, (state.value for state in Rollout.State if state != Rollout.State.RUNNING))
for _test in TESTS:
    EVIDENCE.labels(_test)


def count(result: str) -> None:
    """Count an image."""
    _images[result].inc()


def count_lesions(comparison: ImageComparison) -> None:
    """Count the lesions of an image that was compared."""
    _lesions["agreed"].inc(len(comparison.agreed))
    _lesions["borderline"].inc(comparison.borderline)
    _lesions["reclassified"].inc(len(comparison.reclassified))
    _lesions["added"].inc(len(comparison.added))
    _lesions["lost"].inc(len(comparison.lost))


def count_end(state: Rollout.State) -> None:
    """Count a rollout that this process has ended."""
    _ended[state.value].inc()


def show(evidence: Evidence | None) -> None:
    """Set the gauges to the tests of the rollout that runs; None where none does."""
    RUNNING.set(evidence is not None)
    for test in TESTS:
        share = 0.0 if evidence is None else min(1.0, evidence.wealth(test) / evidence.needed)
        EVIDENCE.labels(test).set(share)
