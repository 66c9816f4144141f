"""How many new replicas have to fit beside the old ones, so that no roll waits for ever."""

import pytest

from cluster.deploy.checks import new_at_once
from serve_app.args import Autoscaling, Size

FIXED = {"num_cpus": 1, "max_ongoing_requests": 1, "max_queued_requests": 1}


def fixed(replicas: int) -> Size:
    return Size(num_replicas=replicas, **FIXED)


def scaled(least: int, most: int) -> Size:
    limits = Autoscaling(min_replicas=least, max_replicas=most, target_ongoing_requests=1)
    return Size(autoscaling=limits, **FIXED)


@pytest.mark.parametrize(
    ("size", "running", "count"),
    [
        (fixed(1), 0, 1),
        (fixed(3), 0, 3),
        (fixed(1), 1, 1),
        (fixed(3), 3, 1),
        (fixed(2), 1, 2),
        (fixed(1), 4, 1),
        (scaled(0, 4), 0, 1),
        (scaled(2, 4), 0, 2),
        (scaled(1, 4), 3, 1),
        (scaled(2, 4), 1, 2),
        (scaled(1, 2), 3, 1),
    ],
)
def test_replicas_that_start_before_first_old_one_stops(size, running, count):
    assert new_at_once(size, running) == count
