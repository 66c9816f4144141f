"""The policy under a simulated clock decides as Ray Serve does under its own."""

import random
from types import SimpleNamespace
from typing import Any

import pytest
from ray.serve import autoscaling_policy

from cluster.capacity.policy import INTERVAL_S, Policy
from serve_app.args import Autoscaling

QUICK = {
    "min_replicas": 1,
    "max_replicas": 20,
    "target_ongoing_requests": 4,
    "look_back_period_s": 0.2,
    "metrics_interval_s": 0.1,
    "upscale_delay_s": 2,
    "downscale_delay_s": 5,
}


def scaling(**changes: Any) -> Autoscaling:
    return Autoscaling.model_validate(QUICK | changes)


@pytest.mark.parametrize("factor", [0.3, 1.0])
def test_decides_as_ray_serve_does(monkeypatch, factor):
    policy = Policy(scaling(downscaling_factor=factor))
    whole = autoscaling_policy._apply_autoscaling_config(
        autoscaling_policy.replica_queue_length_autoscaling_policy
    )
    rng = random.Random(1)
    state: dict[str, Any] = {}
    target = 1
    requests = 0
    seen = set()
    for tick in range(3000):
        now = tick * INTERVAL_S
        if tick % 90 == 0:
            requests = rng.choice([0, 10, 40, 79])
        decided = policy.decide(now, requests, target, target)
        context = policy._context(now, target, target)
        context.policy_state = state
        # The module's own name for the clock: threads of other tests go on by the real one.
        clock = SimpleNamespace(time=lambda now=now: now)
        monkeypatch.setattr(autoscaling_policy, "time", clock)
        expected, state = whole(context)
        monkeypatch.undo()
        assert decided == min(max(int(expected), 1), 20)
        target = decided
        seen.add(target)
    assert len(seen) > 3


def test_waits_before_it_scales_up():
    policy = Policy(scaling())
    decisions = [policy.decide(tick * INTERVAL_S, 40, 1, 1) for tick in range(40)]
    assert decisions[:20] == [1] * 20
    assert 10 in decisions[20:23]


def test_keeps_to_bounds():
    policy = Policy(scaling(upscale_delay_s=0, downscale_delay_s=0))
    assert policy.decide(0, 1000, 1, 1) == 20
    assert Policy(scaling(downscale_delay_s=0)).decide(0, 0, 5, 5) >= 1


def test_replicas_go_a_few_at_a_time():
    few = Policy(scaling(downscale_delay_s=0, downscaling_factor=0.3))
    assert few.decide(0, 4, 10, 10) == 8
    assert Policy(scaling(downscale_delay_s=0, downscaling_factor=1)).decide(0, 4, 10, 10) == 1
