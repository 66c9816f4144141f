"""Two days of a clinic with few images, as the series that Prometheus would have collected.

On the first day one image fails, and the gateway restarts at noon. On the second day a new version
of the model is deployed, during which probes fail. At night nobody sends an image.
"""

from collections.abc import Callable, Iterable
from typing import Any

MINUTES = 2 * 24 * 60
RESTART = 12 * 60  # the minute in which the gateway is away
DEPLOYMENT = range(24 * 60 + 11 * 60, 24 * 60 + 11 * 60 + 4)
FAILURE = 10 * 60 + 7

_GATEWAY = 'job="lesionserve-gateway", instance="10.0.0.5:8080"'
_RAY = 'job="lesionserve-ray", instance="10.0.0.6:8090", application="lesionserve"'
_REPLICA = f'{_RAY}, deployment="LesionService", replica="%s"'
_DAY = 86400


def quiet_clinic(more_failures: Iterable[int] = ()) -> list[dict[str, str]]:
    """Return the input series of promtool, a sample each minute."""
    images = [t for t in range(MINUTES) if 8 * 60 <= t % 1440 < 18 * 60 and t % 12 == 0]
    failures = [FAILURE, *more_failures]
    return [*_clients(images, failures), *_probes(), *_gateway(), *_ray()]


def _clients(images: list[int], failures: list[int]) -> Iterable[dict[str, str]]:
    probes = list(range(MINUTES))
    events = {
        ("succeeded", "client"): images,
        ("failed", "client"): failures,
        ("rejected", "client"): images[3::17],
        ("shed", "client"): [DEPLOYMENT[1]],
        ("aborted", "client"): images[5::29],
        ("unknown", "client"): [],
        ("succeeded", "probe"): probes,
        ("failed", "probe"): [DEPLOYMENT[1]],
    }
    for (outcome, source), times in events.items():
        labels = f'{_GATEWAY}, outcome="{outcome}", source="{source}"'
        yield _counter(f"lesionserve_gateway_requests_total{{{labels}}}", times)
    labels = f'{_GATEWAY}, outcome="succeeded", source="client"'
    slow = images[7::40]
    for le, times in (("5.0", [t for t in images if t not in slow]), ("+Inf", images)):
        name = f'lesionserve_gateway_latency_seconds_bucket{{{labels}, le="{le}"}}'
        yield _counter(name, times)
    yield _counter(f"lesionserve_gateway_latency_seconds_count{{{labels}}}", images)


def _probes() -> Iterable[dict[str, str]]:
    def last_run(minute: int) -> int:
        return 0 if minute == RESTART + 1 else minute * 60

    yield _gauge(
        f"lesionserve_gateway_probe_last_run_timestamp_seconds{{{_GATEWAY}}}", _in_gateway(last_run)
    )
    yield _gauge(
        f"lesionserve_gateway_probe_failures_in_a_row{{{_GATEWAY}}}",
        _in_gateway(lambda minute: int(minute in DEPLOYMENT[:2])),
    )
    for result, times in (
        ("agreed", list(range(MINUTES))),
        ("disagreed", [DEPLOYMENT[2]]),
        ("failed", list(DEPLOYMENT[:2])),
    ):
        labels = f'{_GATEWAY}, result="{result}"'
        yield _counter(f"lesionserve_gateway_probe_runs_total{{{labels}}}", times)


def _gateway() -> Iterable[dict[str, str]]:
    def name(metric: str, labels: str = "") -> str:
        return f"lesionserve_gateway_{metric}{{{_GATEWAY}{labels}}}"

    yield _gauge(f"up{{{_GATEWAY}}}", lambda minute: int(minute != RESTART))
    yield _counter(
        name("upstream_seconds_count", ', result="answered"'),
        [t for t in range(MINUTES) if t not in DEPLOYMENT[:2]],
    )
    yield _gauge(name("circuit_open"), _in_gateway(lambda minute: int(minute == DEPLOYMENT[1])))
    yield _counter(name("retries_over_budget_total"), [])
    yield _counter(name("limiter_failures_total"), [RESTART + 1])
    yield _counter(name("database_errors_total"), [RESTART + 1, RESTART + 1])
    # Each night a copy of the database lies on the disk for ten minutes.
    yield _gauge(
        name("disk_free_bytes"),
        _in_gateway(lambda t: 40 * 10**9 - 10**5 * t - (8 * 10**9 if t % 1440 < 10 else 0)),
    )
    yield _gauge(name("disk_size_bytes"), _in_gateway(lambda _: 100 * 10**9))
    yield _gauge(
        name("certificate_expires_timestamp_seconds", ', certificate="upstream_ca"'),
        _in_gateway(lambda _: 90 * _DAY),
    )
    # Verified at three in the morning; before the first time, on the day before.
    yield _gauge(
        name("audit_verified_timestamp_seconds"),
        _in_gateway(lambda t: max(0, (t - 180) // 1440 * _DAY + 180 * 60)),
    )
    yield _gauge(name("audit_intact"), _in_gateway(lambda t: int(t != RESTART + 1)))


def _ray() -> Iterable[dict[str, str]]:
    begin, end = DEPLOYMENT[0], DEPLOYMENT[-1]
    old = range(end), "old", "3f6c", 0
    new = range(begin + 2, MINUTES), "new", "77aa", begin + 2
    deployment = f'{_RAY}, deployment="LesionService"'
    yield _gauge(f"up{{{_RAY}}}", lambda _: 1)
    yield _gauge(
        f"ray_serve_deployment_status{{{deployment}}}", lambda t: 3 if t in DEPLOYMENT else 6
    )
    yield _gauge(f"ray_serve_autoscaling_target_replicas{{{deployment}}}", lambda _: 1)
    yield _counter(
        f"ray_serve_replica_startup_latency_ms_count{{{deployment}}}", [begin + 2], False
    )
    for minutes, replica, digest, started in (old, new):
        labels = _REPLICA % replica
        yield _gauge(
            f"ray_serve_deployment_replica_healthy{{{labels}}}", _while(minutes, lambda _: 1)
        )
        yield _gauge(
            f'ray_lesionserve_model_info{{{labels}, bundle_sha256="{digest}"}}',
            _while(minutes, lambda _: 1),
        )
        for check, period in (("golden", 360), ("weights", 1440)):
            yield _gauge(
                f"ray_lesionserve_{check}_success_timestamp_seconds{{{labels}}}",
                _while(minutes, lambda t, p=period, s=started: (s + (t - s) // p * p) * 60),
            )


def _in_gateway(value: Callable[[int], int]) -> Callable[[int], int | None]:
    return lambda minute: None if minute == RESTART else value(minute)


def _while(minutes: range, value: Callable[..., int]) -> Callable[[int], int | None]:
    return lambda minute: value(minute) if minute in minutes else None


def _counter(series: str, times: Iterable[int], restarts: bool = True) -> dict[str, str]:
    """Return a counter of events. That of the gateway begins anew with its restart."""
    events = sorted(times)

    def value(minute: int) -> int | None:
        since = RESTART if restarts and minute > RESTART else -1
        return sum(since < t <= minute for t in events)

    return _gauge(series, _in_gateway(value) if restarts else value)


def _gauge(series: str, value: Callable[[int], int | None]) -> dict[str, str]:
    """Write runs of one value in promtool's notation."""
    samples: list[list[Any]] = []
    for minute in range(MINUTES):
        sample = value(minute)
        if samples and samples[-1][0] == sample:
            samples[-1][1] += 1
        else:
            samples.append([sample, 1])
    runs = [f"_x{n}" if v is None else f"{v}+0x{n - 1}" for v, n in samples]
    return {"series": series, "values": " ".join(runs)}
