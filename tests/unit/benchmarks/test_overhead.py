import pytest

from benchmarks.overhead import verdict


@pytest.mark.parametrize(
    ("part", "replicas", "full", "failed", "met"),
    [
        (0.95, 1, False, 0, True),
        (0.95, 4, True, 0, True),
        (0.95, 1, False, 1, False),
        (0.5, 1, True, 0, False),  # one replica has to reach it on two cores
        (0.5, 2, False, 0, False),
        (0.5, 2, True, 1, False),
        (0.5, 2, True, 0, None),
    ],
)
def test_verdict_is_open_only_where_cores_are_full(
    part: float, replicas: int, full: bool, failed: int, met: bool | None
) -> None:
    assert verdict(part, replicas, full=full, failed=failed) is met
