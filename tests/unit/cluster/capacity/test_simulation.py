from typing import Any

import pytest

from cluster.capacity.batches import Batches
from cluster.capacity.simulation import Outcome, Starts, simulate
from serve_app.args import Size

SIZE = {
    "num_replicas": 1,
    "num_cpus": 1,
    "max_ongoing_requests": 24,
    "max_queued_requests": 200,
}
SCALING = {
    "min_replicas": 1,
    "max_replicas": 8,
    "target_ongoing_requests": 6,
    "look_back_period_s": 3,
    "metrics_interval_s": 1,
    "upscale_delay_s": 2,
    "downscale_delay_s": 60,
}
GPU = Batches(fixed_s=0.0155, image_s=0.0225, largest=8)
QUICK = Starts(replica_s=5, node_s=10, per_node=1, nodes=8)


def fixed(count: int = 1, **changes: Any) -> Size:
    return Size.model_validate(SIZE | {"num_replicas": count} | changes)


def scaled(**changes: Any) -> Size:
    return Size.model_validate(SIZE | {"num_replicas": None, "autoscaling": SCALING | changes})


def constant(rate: float, size: Size, seconds: float = 120, **changes: Any) -> Outcome:
    return simulate(lambda _: rate, size, GPU, QUICK, seconds, **changes)


def test_single_image_takes_a_batch_of_one():
    outcome = constant(0.5, fixed())
    assert outcome.p95_s == pytest.approx(0.038)
    assert (outcome.refused, outcome.settled_s) == (0, 0)
    assert outcome.images == pytest.approx(60, abs=25)


def test_batches_carry_more_than_single_images():
    # One by one a replica does 26 images/s, in batches of 8 41.
    assert constant(36, fixed()).refused == 0
    one_by_one = Batches(GPU.fixed_s, GPU.image_s, largest=1)
    assert simulate(lambda _: 36, fixed(), one_by_one, QUICK, 120).refused > 0.1


def test_what_is_too_much_is_refused():
    outcome = constant(80, fixed())
    assert outcome.refused == pytest.approx(1 - 8 / GPU.seconds(8) / 80, abs=0.03)
    # 224 requests are let in, and answered at 41 a second.
    assert outcome.p95_s == pytest.approx(224 / 41, rel=0.1)
    assert outcome.settled_s == pytest.approx(120, abs=1)


def test_two_replicas_do_twice_as_much():
    assert constant(70, fixed(2)).refused == 0


def test_step_in_load_adds_replicas_when_they_have_started():
    slow = Starts(replica_s=5, node_s=60, per_node=1, nodes=1)
    step = lambda second: 1 if second < 10 else 100  # noqa: E731
    near = simulate(step, scaled(), GPU, QUICK, 300, since=10)
    far = simulate(step, scaled(), GPU, slow, 300, since=10)
    assert near.replicas == (1, 8)
    assert near.settled_s < far.settled_s < 90
    assert near.refused < far.refused


def test_constant_load_keeps_its_replicas_only_if_few_go_at_once():
    calm = constant(150, scaled(downscaling_factor=0.3), 1800, since=120)
    restless = constant(150, scaled(downscaling_factor=1), 1800, since=120)
    assert calm.refused == 0
    assert restless.refused > 0.01
    assert restless.replicas[0] <= 2


def test_same_seed_gives_same_outcome():
    assert constant(30, scaled(), seed=7) == constant(30, scaled(), seed=7)


def test_only_what_came_since_then_counts():
    burst = lambda second: 200 if second < 10 else 1  # noqa: E731
    outcome = simulate(burst, fixed(), GPU, QUICK, 100, since=30)
    assert outcome.refused == 0
    assert outcome.images < 120
