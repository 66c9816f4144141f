"""Ray Serve's direct ingress: a replica takes HTTP requests itself, beside Serve's proxy (ADR 38).

Its processes take this from the environment in which Ray starts.
"""

import os

# Of ours: the replica names its port in its responses.
_NAMED = "LESIONSERVE_ALTERNATIVE_SERVICE"
_ENVIRONMENT = {
    "RAY_SERVE_ENABLE_DIRECT_INGRESS": "1",
    # For load balancers, which have to be told. A client of ours notices by itself.
    "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "0",
    _NAMED: "1",
}


def enable_direct_ingress() -> None:
    """Enable it for the Ray that this process starts. Call this before Serve is imported."""
    os.environ.update(_ENVIRONMENT)


def has_direct_ingress() -> bool:
    """Return whether this process belongs to a Ray that was started with it."""
    return _NAMED in os.environ
