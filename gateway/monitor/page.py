import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext_noop
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from gateway.audit.models import AuditCheck
from gateway.database import in_database
from gateway.errors import Forbidden
from gateway.monitor import parts, plots, status
from gateway.monitor.hours import Hours, last_hours
from gateway.monitor.level import Level
from gateway.monitor.models import Alert, ProbeRun
from gateway.monitor.overview import AlertLine, Change, Objective, Overview, ProbeCell
from gateway.monitor.prometheus import Prometheus, PrometheusUnavailable, Series
from gateway.monitor.rollout_part import last_rollout, rollout_part
from gateway.monitor.rollouts.summary import Summary
from gateway.monitor.watch_cards import WatchCard, watch_cards
from gateway.people.models import Member, Organisation
from gateway.predict.manifest import Manifest
from gateway.predict.upstream import upstream_of
from gateway.problems import problem_http_response
from pipeline.errors import LesionserveError

PERMISSION = "monitor.view_alert"
_RUNBOOKS = "docs/runbooks.md#"
_PROBES = 60
_EVENTS = 12

_LEVELS = {
    ProbeRun.Result.AGREED: Level.GOOD,
    ProbeRun.Result.DISAGREED: Level.BAD,
    ProbeRun.Result.FAILED: Level.BAD,
}


@dataclass(frozen=True, slots=True)
class _Operator:
    """A signed-in person. Of keys and people, they see the changes of their own organisation."""

    name: str
    organisation: Organisation | None
    sees_all: bool
    is_staff: bool
    may_see: bool


@dataclass(frozen=True, slots=True)
class _Stored:
    """What the database says."""

    probes: status.Probes
    objectives: list[status.Objective]
    open_alerts: list[Alert]
    last_alerts: list[Alert]
    changes: list[status.Change]
    check: AuditCheck | None
    hours: Hours
    watches: list[WatchCard]
    rollout: Summary | None


@never_cache
@csrf_exempt  # reads no form: another method gets 405, not a CSRF failure
@require_safe
async def operations(request: ASGIRequest) -> HttpResponse:
    """Return the state of the service, for people with the role operator or admin."""
    operator = await in_database(_operator_of, request)
    if operator is None:
        return redirect_to_login(request.get_full_path())
    if not operator.may_see:
        error = Forbidden(
            gettext_noop("This page needs the role operator or admin; ask your administrator.")
        )
        return problem_http_response(error, request)
    overview = await _overview(request.scope, operator)
    return render(request, "monitor/operations.html", {"overview": overview, "operator": operator})


def _operator_of(request: ASGIRequest) -> _Operator | None:
    """Return the person of the request's session, or None; blocking."""
    user = request.user
    if not user.is_authenticated:
        return None
    return _Operator(
        name=user.get_username(),
        organisation=Member.objects.organisation_of(user),
        sees_all=user.is_superuser,
        is_staff=user.is_staff,
        may_see=user.has_perm(PERMISSION),
    )


async def _overview(scope: Any, operator: _Operator) -> Overview:
    """Ask the database, the ingress and Prometheus, each for a few seconds at most."""
    now = timezone.now()
    write, model, prometheus = await asyncio.gather(
        _error_of(scope["state"]["require_writable"]()),
        _model(scope),
        _prometheus(scope),
    )
    stored = await in_database(_stored, now, operator)
    manifest, model_error = model
    healthy, golden_age_s, score, precision, firing = prometheus
    sent = {alert.name for alert in stored.open_alerts}
    is_connected = settings.ALERTS_TOKEN is not None
    return Overview(
        at=now,
        watched=is_connected or stored.probes.state.last is not None,
        parts=[
            parts.gateway(write),
            parts.inference(manifest, model_error),
            parts.replicas(healthy),
            parts.model(manifest, golden_age_s, score),
            parts.accuracy(precision),
            parts.probes(stored.probes),
            parts.audit(stored.check, now),
            parts.watch(stored.watches),
            *([] if stored.rollout is None else [rollout_part(stored.rollout)]),
            parts.alerts(stored.open_alerts, sorted(firing - sent), is_connected=is_connected),
        ],
        objectives=[_objective(objective) for objective in stored.objectives],
        objective=status.OBJECTIVE,
        traffic=_traffic(stored.hours),
        latency=_latency(stored.hours),
        probes=[_cell(run) for run in reversed(stored.probes.runs)],
        firing=[_line(alert) for alert in stored.open_alerts],
        past_alerts=[_line(alert) for alert in stored.last_alerts if alert.resolved][:_EVENTS],
        changes=[_change(change) for change in stored.changes],
        watches=stored.watches,
    )


def _stored(now: datetime, operator: _Operator) -> _Stored:
    return _Stored(
        status.probes(_PROBES),
        status.objectives(now),
        status.open_alerts(),
        status.last_alerts(),
        status.changes(_EVENTS, operator.organisation, sees_all=operator.sees_all),
        AuditCheck.objects.first(),
        last_hours(now),
        watch_cards(operator.organisation, sees_all=operator.sees_all),
        last_rollout(now),
    )


async def _error_of(call: Any) -> LesionserveError | None:
    try:
        await call
    except LesionserveError as error:
        return error
    return None


async def _model(scope: Any) -> tuple[Manifest | None, LesionserveError | None]:
    try:
        return await upstream_of(scope).ready(), None
    except LesionserveError as error:
        return None, error


async def _prometheus(
    scope: Any,
) -> tuple[list[Series] | None, float | None, float | None, list[Series] | None, set[str]]:
    """Return the healthy replicas, age and deltas of golden cases, precision, and what fires."""
    prometheus: Prometheus | None = scope["state"]["prometheus"]
    if prometheus is None:
        return None, None, None, None, set()
    expressions = (
        parts.HEALTHY_REPLICAS,
        parts.GOLDEN_AGE_S,
        parts.GOLDEN_SCORE,
        parts.PRECISION,
        parts.FIRING,
    )
    try:
        healthy, age, score, precision, firing = await asyncio.gather(
            *map(prometheus.query, expressions)
        )
    except PrometheusUnavailable:
        return None, None, None, None, set()
    names = {series.labels.get("alertname", "") for series in firing}
    return healthy, _value(age), _value(score), precision, names


def _value(series: list[Series]) -> float | None:
    return series[0].value if series else None


def _objective(objective: status.Objective) -> Objective:
    left = objective.budget_left if objective.valid else None
    return Objective(objective.period, objective.valid, objective.share, left)


def _traffic(hours: Hours) -> plots.Plot:
    return plots.stacked_bars("Images by outcome", "an hour", hours.begins, hours.counts)


def _latency(hours: Hours) -> plots.Plot:
    series = {"half are faster than": hours.median_s, "95 % are faster than": hours.p95_s}
    return plots.lines("Time to an answer", "s", hours.begins, series)


def _cell(run: ProbeRun) -> ProbeCell:
    took = "" if run.seconds is None else f" after {run.seconds:.2f} s"
    reason = f" ({run.error_code})" if run.error_code else ""
    return ProbeCell(run.at, _LEVELS[ProbeRun.Result(run.result)], f"{run.result}{reason}{took}")


def _line(alert: Alert) -> AlertLine:
    is_ours = alert.name.startswith("Lesionserve")
    runbook = f"{_RUNBOOKS}{alert.name.lower()}" if is_ours else ""
    return AlertLine(
        alert.name, alert.severity or "alert", alert.summary, alert.started, alert.resolved, runbook
    )


def _change(change: status.Change) -> Change:
    what = change.what.replace(".", " ")
    return Change(change.at, f"{what}: {change.subject}", change.by)


def connect() -> Prometheus | None:
    """Return the client of the Prometheus in the settings, or None without one."""
    return None if settings.PROMETHEUS_URL is None else Prometheus.connect(settings.PROMETHEUS_URL)
