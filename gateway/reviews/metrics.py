from collections.abc import Mapping

from prometheus_client import Counter

from gateway.metrics import by_label, last_known
from gateway.reviews.models import Verdict

MISSED = "missed"
UNGRADABLE = "ungradable"

_verdicts = by_label(
    Counter(
        "lesionserve_gateway_verdicts",
        "Verdicts that were given on lesions, lesions called missed, and images called ungradable.",
        ["verdict"],
    ),
    (*Verdict.Kind.values, MISSED, UNGRADABLE),
)

_NAME = "lesionserve_gateway_precision"
VALUE = last_known(
    _NAME, "The share of the judged lesions that were accepted, by class.", ["label"]
)
LOW = last_known(f"{_NAME}_low", "The lower bound of the precision in use.", ["label"])
HIGH = last_known(f"{_NAME}_high", "The upper bound of the precision in use.", ["label"])
CASES = last_known(f"{_NAME}_cases", "Cases with a judged lesion; each counts once.", ["label"])
VERDICTS = last_known(f"{_NAME}_verdicts", "Verdicts on lesions of the class.", ["label"])
REFERENCE = last_known(
    f"{_NAME}_reference",
    "The lower end of the precision's interval on the validation images.",
    ["label"],
)


def count(given: Mapping[str, int]) -> None:
    """Count new verdicts by their kind, and what was called missed or ungradable."""
    for kind, number in given.items():
        _verdicts[kind].inc(number)
