"""The faults of the drill, their alerts, and the times within which these arrive and resolve.

The minutes of a `Time` are what the rule and the route wait in production: its window or the events
that it needs, `for`, `keep_firing_for`, the wait for the group, and the interval of the group.
"""

from tests.faults.drill import faults
from tests.faults.drill.drill import Fault, Time
from tests.faults.drill.scaled import SCALE, SCALE_OF_CRASHES

MINUTE = 60.0
SYMPTOM = 3 * MINUTE  # the wait for a group of what clients and probes see
INTERVAL = 1 * MINUTE  # of a group
KEEPS = 2 * MINUTE  # of an alert that tells a cause
READY_KEEPS = 3 * MINUTE  # of the one for replicas
METRICS_S = 7.0 + 3.0  # Ray exports metrics at the first interval, and is scraped at the second
MAINTENANCE_S = 60.0  # the gateway reads files and the audit trail at this interval
COMMAND_S = 8.0  # a command of the gateway
START_S = 30.0  # a replica, on a busy machine

_SLOW = Fault(
    "the model is too slow",
    "LesionserveLatencyBurn",
    faults.model_too_slow,
    arrives=Time(SYMPTOM, 60),  # 72 % of all answers: 50 that take 6 s, after 20 quick ones
    resolves=Time(15 * MINUTE + INTERVAL, 10),
)
_PROBE = Fault(
    "the key of the probe is revoked",
    "LesionserveProbeFailing",
    faults.probe_key_revoked,
    arrives=Time(3 * MINUTE + SYMPTOM, COMMAND_S),
    resolves=Time(1 * MINUTE + INTERVAL, 2),
)
_REDIS = Fault(
    "Redis is away",
    "LesionserveLimiterFailing",
    faults.redis_away,
    arrives=Time(0.5 * MINUTE, 3 * 5),  # the gateway asks again after 5 s
    resolves=Time(10 * MINUTE + 5 * MINUTE, 5),
    severity="ticket",
)
_INGRESS = Fault(
    "the ingress is gone",
    "LesionserveCircuitOpen",
    faults.ingress_gone,
    arrives=Time(2 * MINUTE + 1 * MINUTE, 8),  # 8 images or probes
    resolves=Time(KEEPS + INTERVAL, START_S),
)
_HANG = Fault(
    "all replicas hang",
    "LesionserveCircuitOpen",
    faults.replicas_hung,
    arrives=Time(1 * MINUTE, 10 + 3),  # the deadline
    resolves=Time(KEEPS + INTERVAL, 10),
    consequences={"LesionserveNoReadyReplica": "nor do they export that they have a model"},
)
_DATABASE = Fault(
    "PostgreSQL is away",
    "LesionserveDatabaseFailing",
    faults.database_away,
    arrives=Time(3 * MINUTE, 5),
    resolves=Time(2 * MINUTE + KEEPS + INTERVAL, 5),
)
_NONE_READY = Fault(
    "no replica becomes ready",
    "LesionserveNoReadyReplica",
    faults.deployment_crash_looping,
    arrives=Time(2 * MINUTE, METRICS_S),
    resolves=Time(READY_KEEPS + INTERVAL, START_S + METRICS_S),
)
_BUNDLE = Fault(
    "the bundle is removed",
    "LesionserveNoReadyReplica",
    faults.bundle_removed,
    arrives=Time(2 * MINUTE, METRICS_S),
    resolves=Time(READY_KEEPS + INTERVAL, START_S + METRICS_S),
)
_KILLED = Fault(
    "a replica is killed repeatedly",
    "LesionserveReplicaCrashLoop",
    faults.replica_killed_repeatedly,
    arrives=Time(0, 6 * START_S + METRICS_S),  # 4 starts more than the 2 replicas
    resolves=Time(15 * MINUTE * SCALE / SCALE_OF_CRASHES + INTERVAL, METRICS_S),
)
_WEIGHTS = Fault(
    "weights change in memory",
    "LesionserveGoldenMismatch",
    faults.weights_altered,
    arrives=Time(0, 4 + METRICS_S),  # the check of the weights runs every 3 s
    resolves=Time(60 * MINUTE + 15 * MINUTE + INTERVAL, 0),
)
_DISK = Fault(
    "the disk is nearly full",
    "LesionserveDiskFills",
    faults.disk_nearly_full,
    arrives=Time(5 * MINUTE, MAINTENANCE_S),
    resolves=Time(INTERVAL, MAINTENANCE_S),
    needs_disk=True,
)
_CERTIFICATE = Fault(
    "a certificate expires tomorrow",
    "LesionserveCertificateExpires",
    faults.certificate_expiring,
    arrives=Time(10 * MINUTE, MAINTENANCE_S),
    resolves=Time(INTERVAL, MAINTENANCE_S),
)
_AUDIT = Fault(
    "a row of the audit trail is changed",
    "LesionserveAuditBroken",
    faults.audit_row_tampered,
    arrives=Time(3 * MINUTE, COMMAND_S + MAINTENANCE_S),
    resolves=Time(INTERVAL, COMMAND_S + MAINTENANCE_S),
)

# The faults of a group are there at the same time. The weights come last: Ray exports the counter
# of a failed check as long as it runs.
SCHEDULE = [
    [_KILLED],
    [_PROBE],
    [_INGRESS],
    [_HANG],
    [_SLOW],
    [_DATABASE],
    [_REDIS],
    [_NONE_READY],
    [_BUNDLE],
    [_WEIGHTS, _DISK, _CERTIFICATE, _AUDIT],
]
