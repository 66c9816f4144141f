from cluster.monitoring.grafana.board import Board, Section
from cluster.monitoring.grafana.panel import Kind, Panel
from cluster.monitoring.grafana.promql import per_minute, quantiles

_GATEWAY = "lesionserve_gateway"

_ACCESS = Section(
    "Access",
    (
        Panel(
            "Refused credentials",
            {"refused": per_minute(f"{_GATEWAY}_refused_credentials_total")},
            "cpm",
            "Invalid keys and sessions in a minute.",
            Kind.BARS,
        ),
        Panel(
            "Refused for a limit",
            {"{{limit}}": per_minute(f"{_GATEWAY}_rate_limited_total", "limit")},
            "cpm",
            "Requests over the rate of their caller, organisation or address, or over a quota.",
            Kind.BARS,
        ),
        Panel(
            "Limits counted alone",
            {"failures": per_minute(f"{_GATEWAY}_limiter_failures_total")},
            "cpm",
            "Times that Redis could not be reached, so that each process counted alone.",
            Kind.BARS,
        ),
    ),
)

_DATABASE = Section(
    "Database",
    (
        Panel(
            "Time of a visit to the database",
            quantiles(f"{_GATEWAY}_database_seconds_bucket"),
            "s",
            "Each request needs about three.",
            width=6,
        ),
        Panel(
            "Failed visits",
            {"failed": per_minute(f"{_GATEWAY}_database_errors_total")},
            "cpm",
            "Errors of the database and visits that took too long. Each refuses a request.",
            Kind.BARS,
            width=6,
        ),
        Panel(
            "Free disk space",
            {"free": f"min({_GATEWAY}_disk_free_bytes / {_GATEWAY}_disk_size_bytes)"},
            "percentunit",
            "Of the disk with the SQLite database.",
            width=6,
        ),
        Panel(
            "Kept answers sent again",
            {"replays": per_minute(f"{_GATEWAY}_replays_total")},
            "cpm",
            "Requests whose idempotency key had an answer already.",
            Kind.BARS,
            width=6,
        ),
    ),
)

_AUDIT = Section(
    "Audit trail",
    (
        Panel(
            "Intact",
            {"intact": f"min({_GATEWAY}_audit_intact)"},
            "none",
            "0 where the last verification of the whole trail found a fault.",
            Kind.STAT,
            floor=1.0,
            width=4,
        ),
        Panel(
            "Since it was verified",
            {"since": f"time() - max({_GATEWAY}_audit_verified_timestamp_seconds)"},
            "s",
            "Time since verify_audit found the whole trail intact. It should run daily.",
            Kind.STAT,
            limit=93600.0,
            width=5,
        ),
        Panel(
            "Since the last seal",
            {"since": f"time() - max({_GATEWAY}_audit_sealed_timestamp_seconds)"},
            "s",
            "Time since the newest record or event was sealed.",
            Kind.STAT,
            width=5,
        ),
        Panel(
            "Records left open",
            {"open": f"max({_GATEWAY}_audit_open_records)"},
            "none",
            "Records of requests that never ended, as after a crash; closed within minutes.",
            Kind.STAT,
            limit=1.0,
            width=5,
        ),
        Panel(
            "First certificate to expire",
            {
                "{{certificate}}": f"min by (certificate) "
                f"({_GATEWAY}_certificate_expires_timestamp_seconds) - time()"
            },
            "s",
            "Time until each watched certificate expires.",
            Kind.STAT,
            floor=1814400.0,
            width=5,
        ),
        Panel(
            "Gateways by version",
            {"": f"count by (version) ({_GATEWAY}_info)"},
            "none",
            "The version of lesionserve that each gateway runs.",
            Kind.TABLE,
        ),
    ),
)

GATEWAY = Board(
    uid="lesionserve-gateway",
    title="lesionserve: gateway",
    description="Access, limits, the database and the audit trail.",
    sections=(_ACCESS, _DATABASE, _AUDIT),
)
