"""What the metrics of this process have changed by."""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import REGISTRY

PREFIX = "lesionserve_gateway_"


def value(name: str, **labels: str) -> float:
    """Return the value of a series, which has to exist."""
    sample = REGISTRY.get_sample_value(PREFIX + name, labels)
    assert sample is not None, f"{name} {labels} does not exist"
    return sample


def values() -> dict[str, float]:
    """Return what has been counted, by series."""
    return {
        f"{sample.name.removeprefix(PREFIX)} {' '.join(sample.labels.values())}".strip(): (
            sample.value
        )
        for family in REGISTRY.collect()
        for sample in family.samples
        if sample.name.startswith(PREFIX)
        if sample.name.endswith(("_total", "_count"))
    }


@contextmanager
def changes() -> Iterator[dict[str, float]]:
    """Fill the dictionary with what changed by the end of the block."""
    before, changed = values(), {}
    yield changed
    for series, after in values().items():
        if after - before.get(series, 0.0):
            changed[series] = after - before.get(series, 0.0)
