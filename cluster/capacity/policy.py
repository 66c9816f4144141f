import math
from collections import deque
from typing import Any

from ray.serve._private.common import DeploymentID
from ray.serve._private.constants import CONTROL_LOOP_INTERVAL_S
from ray.serve.autoscaling_policy import (
    _apply_delay_logic,
    _apply_scaling_factors,
    replica_queue_length_autoscaling_policy,
)
from ray.serve.config import AutoscalingConfig, AutoscalingContext

from serve_app.args import Autoscaling

INTERVAL_S: float = CONTROL_LOOP_INTERVAL_S


class Policy:
    """Ray Serve's default autoscaling policy, by Serve's own code, under a simulated clock."""

    def __init__(self, scaling: Autoscaling) -> None:
        self._scaling = scaling
        self._config = AutoscalingConfig(**scaling.model_dump())
        self._state: dict[str, Any] = {}
        samples = max(1, round(scaling.look_back_period_s / INTERVAL_S))
        self._window: deque[float] = deque(maxlen=samples)
        self._reported = 0.0
        self._reported_at = -math.inf

    def decide(self, now: float, requests: float, running: int, target: int) -> int:
        """Return the number of replicas that Serve wants; call it every INTERVAL_S.

        requests: running and queued, at this moment. running: replicas that answer. target: what
        was wanted last.
        """
        self._window.append(requests)
        if now - self._reported_at >= self._scaling.metrics_interval_s:
            self._reported = sum(self._window) / len(self._window)
            self._reported_at = now
        desired, _ = replica_queue_length_autoscaling_policy(self._context(now, running, target))
        if running:
            scaled = _apply_scaling_factors(desired, running, self._config)
            desired, self._state = _apply_delay_logic(
                max(0, scaled), target, self._config, self._state, _now=now
            )
        return min(max(int(desired), self._scaling.min_replicas), self._scaling.max_replicas)

    def _context(self, now: float, running: int, target: int) -> AutoscalingContext:
        return AutoscalingContext(
            deployment_id=DeploymentID("stage", "lesionserve"),
            deployment_name="stage",
            app_name="lesionserve",
            current_num_replicas=running,
            target_num_replicas=target,
            running_replicas=[],
            total_num_requests=self._reported,
            total_queued_requests=None,
            aggregated_metrics=None,
            raw_metrics=None,
            capacity_adjusted_min_replicas=self._scaling.min_replicas,
            capacity_adjusted_max_replicas=self._scaling.max_replicas,
            policy_state=self._state,
            last_scale_up_time=None,
            last_scale_down_time=None,
            current_time=now,
            config=self._config,
        )
