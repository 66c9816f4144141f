"""The parts of the service on the operations page: each function judges one of them."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from importlib.metadata import version

from gateway.audit.models import AuditCheck
from gateway.monitor.level import Level
from gateway.monitor.models import Alert
from gateway.monitor.overview import Part
from gateway.monitor.prometheus import Series
from gateway.monitor.status import Probes
from gateway.monitor.watch_cards import WatchCard
from gateway.predict.manifest import Manifest
from pipeline.errors import LesionserveError

_FAILED_PROBES = 3  # in a row: as of the alert LesionserveProbeFailing
_VERIFIED_WITHIN = timedelta(hours=26)  # as of the alert LesionserveAuditUnverified
_GOLDEN_WITHIN_S = 24 * 3600  # as of the alert LesionserveGoldenStale
_PRECISION = "lesionserve_gateway_precision"
_NO_PROMETHEUS = "Not known: Prometheus is not connected (LESIONSERVE_PROMETHEUS_URL)."

PRECISION = f'{{__name__=~"{_PRECISION}(_low|_high|_reference)?"}}'
HEALTHY_REPLICAS = "sum by (deployment) (ray_serve_deployment_replica_healthy)"
GOLDEN_AGE_S = "time() - min(ray_lesionserve_golden_success_timestamp_seconds)"
FIRING = 'ALERTS{alertname=~"Lesionserve.+",alertstate="firing",severity=~"page|ticket"}'
GOLDEN_SCORE = "max(ray_lesionserve_golden_max_score_difference)"


def gateway(error: LesionserveError | None) -> Part:
    """Judge the gateway by whether it can write a record."""
    facts = (("Version", version("lesionserve")),)
    if error is None:
        return Part("Gateway", Level.GOOD, "It answers, and records can be written.", facts=facts)
    return Part(
        "Gateway",
        Level.BAD,
        str(error),
        remedy="No image is taken while no record can be written. The gateway's log has the "
        "reason.",
        facts=facts,
    )


def inference(manifest: Manifest | None, error: LesionserveError | None) -> Part:
    """Judge the inference half by whether a loaded model answers."""
    if manifest is not None:
        return Part("Inference", Level.GOOD, "A loaded model answers.")
    return Part(
        "Inference",
        Level.BAD,
        "No image can be answered." if error is None else str(error),
        remedy="On the head of the Ray cluster, `serve status` says which deployment is not "
        "healthy, and why.",
    )


def replicas(healthy: Sequence[Series] | None) -> Part:
    """Judge the replicas by Ray's metrics; None where Prometheus is away."""
    if not healthy:
        return Part("Replicas", Level.UNKNOWN, _NO_PROMETHEUS if healthy is None else "No data.")
    counts = {series.labels.get("deployment", ""): round(series.value) for series in healthy}
    without = [name for name, count in counts.items() if count == 0]
    facts = tuple((name, str(count)) for name, count in sorted(counts.items()))
    if without:
        summary = f"No replica of {', '.join(sorted(without))} is healthy."
        return Part("Replicas", Level.BAD, summary, facts=facts)
    return Part("Replicas", Level.GOOD, "Each deployment has a healthy replica.", facts=facts)


def model(manifest: Manifest | None, golden_age_s: float | None, score: float | None) -> Part:
    """Judge the model by when its replicas last reproduced their golden cases."""
    if manifest is None:
        return Part("Model", Level.UNKNOWN, "Not known: no model answers.")
    name = f"{manifest.name} {manifest.version} ({manifest.bundle_sha256[:12]})"
    if golden_age_s is None:
        summary = f"{name} reproduced its golden cases when it was loaded."
        return Part("Model", Level.GOOD, summary)
    facts = [("Golden cases reproduced", f"{duration(timedelta(seconds=golden_age_s))} ago")]
    if score is not None:
        facts.append(("Largest difference of a score", f"{score:.4f}"))
    if golden_age_s > _GOLDEN_WITHIN_S:
        summary = f"{name} answers, but a replica has not repeated its golden cases for a day."
        return Part("Model", Level.WARNING, summary, facts=tuple(facts))
    return Part("Model", Level.GOOD, f"{name} answers.", facts=tuple(facts))


def accuracy(series: Sequence[Series] | None) -> Part:
    """Judge the precision in use against the validation; None where Prometheus is away."""
    if series is None:
        return Part("Accuracy", Level.UNKNOWN, "Not known: Prometheus is not connected.")
    values = {
        (each.labels.get("label", ""), each.labels.get("__name__", "")): each.value
        for each in series
    }
    labels = sorted({label for label, name in values if name == _PRECISION})
    if not labels:
        return Part("Accuracy", Level.UNKNOWN, "Not known: no lesion has been judged.")
    facts = tuple((label, _precision(label, values)) for label in labels)
    below = [label for label in labels if _is_below(label, values)]
    if below:
        return Part(
            "Accuracy",
            Level.BAD,
            f"By the verdicts on lesions the model is worse than validated for {', '.join(below)}.",
            remedy="Follow the runbook LesionservePrecisionLow.",
            facts=facts,
        )
    summary = "The verdicts on lesions do not contradict the validation."
    if not any(name == f"{_PRECISION}_reference" for _, name in values):
        summary = "Lesions were judged; there is no precision of the validation to compare with."
    return Part("Accuracy", Level.GOOD, summary, facts=facts)


def _precision(label: str, values: Mapping[tuple[str, str], float]) -> str:
    value, low, high = (
        f"{values.get((label, _PRECISION + bound), 0.0):.0%}" for bound in ("", "_low", "_high")
    )
    return f"{value} right, between {low} and {high}"


def _is_below(label: str, values: Mapping[tuple[str, str], float]) -> bool:
    high = values.get((label, f"{_PRECISION}_high"), 1.0)
    return high < values.get((label, f"{_PRECISION}_reference"), 0.0)


def probes(state: Probes) -> Part:
    """Judge the probes by how many failed in a row."""
    last, failures = state.state.last, state.state.failures_in_a_row
    if last is None:
        return Part("Probes", Level.UNKNOWN, "No probe has run.")
    if failures == 0:
        took = "" if last.seconds is None else f", in {last.seconds:.2f} s"
        summary = f"The last one came back with the right lesions{took}."
        return Part("Probes", Level.GOOD, summary)
    reason = last.error_code or str(last.result)
    summary = f"The last one failed: {reason}."
    if failures > 1:
        summary = f"The last {failures} failed: {reason}."
    first = next((run.at for run in reversed(state.runs[:failures])), last.at)
    level = Level.BAD if failures >= _FAILED_PROBES else Level.WARNING
    return Part("Probes", level, summary, since=first, remedy=last.detail[:300])


def audit(check: AuditCheck | None, now: datetime) -> Part:
    """Judge the audit trail by its last verification."""
    if check is None:
        summary = "Not verified yet: verify_audit has to run daily."
        return Part("Audit trail", Level.UNKNOWN, summary)
    age = now - check.at
    facts = (("Verified", f"{duration(age)} ago"), ("Sealed rows", str(check.rows)))
    if not check.intact:
        return Part(
            "Audit trail",
            Level.BAD,
            f"The last verification found {check.faults} faults.",
            since=check.at,
            remedy="Keep the database as it is, and follow the runbook LesionserveAuditBroken.",
            facts=facts,
        )
    if age > _VERIFIED_WITHIN:
        summary = "Its last verification is more than a day old."
        return Part("Audit trail", Level.WARNING, summary, since=check.at, facts=facts)
    return Part("Audit trail", Level.GOOD, "Intact when it was last verified.", facts=facts)


def watch(cards: Sequence[WatchCard]) -> Part:
    """Judge by the alarms of the watch that nobody has acknowledged."""
    if not cards:
        return Part("Model watch", Level.UNKNOWN, "Nothing was observed yet.")
    alarms = [alarm for card in cards for alarm in card.alarms]
    if not alarms:
        return Part("Model watch", Level.GOOD, "No change of images or findings was found.")
    groups = ", ".join(sorted({alarm.group.lower() for alarm in alarms}))
    return Part(
        "Model watch",
        Level.WARNING,
        f"Something has changed: {groups}.",
        since=min(alarm.since for alarm in alarms),
        remedy="Read below what has changed, look at the images, and acknowledge it.",
    )


def alerts(firing: Sequence[Alert], unsent: Sequence[str], *, is_connected: bool) -> Part:
    """Judge by the alerts that fire now: a page is bad, a ticket wants attention.

    unsent: the names of those that fire in Prometheus, and were not sent here yet. is_connected:
    whether Alertmanager may send its alerts here.
    """
    if not firing and unsent:
        summary = f"Not sent yet: {', '.join(sorted(unsent))}."
        remedy = "Some alerts wait for minutes, so that one that names the cause comes first."
        return Part("Alerts", Level.WARNING, summary, remedy=remedy)
    if not firing and not is_connected:
        summary = "Not known: nothing sends alerts here (LESIONSERVE_ALERTS_TOKEN)."
        return Part("Alerts", Level.UNKNOWN, summary)
    if not firing:
        return Part("Alerts", Level.GOOD, "None fires.")
    names = ", ".join(sorted({alert.name for alert in firing}))
    level = Level.BAD if any(alert.severity == "page" for alert in firing) else Level.WARNING
    return Part("Alerts", level, f"{names}.", since=min(alert.started for alert in firing))


def duration(length: timedelta) -> str:
    """Return a length of time in its largest unit, such as `3 hours`."""
    seconds = max(0, round(length.total_seconds()))
    for unit, size in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= size:
            count = seconds // size
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return f"{seconds} second{'' if seconds == 1 else 's'}"
