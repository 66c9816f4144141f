"""The start of every replica, whatever its stage: tracing, and a candidate's priority."""

import os
from contextlib import suppress

from ray import serve
from ray.serve.exceptions import RayServeException

from serve_app.candidate import NAME as CANDIDATE
from serve_app.tracing import start_tracing

# The lowest priority. Ray's workers have a niceness of 15: of a core that a replica of the stable
# application wants as well, Linux gives the candidate three tenths.
_NICENESS = 19


def start_replica() -> None:
    """Start tracing, and let a candidate's replica give way to others on its machine.

    So a candidate that loads its model or computes an answer takes less of a core that the stable
    application wants. The processes that decode images are the replica's, and give way, too.
    """
    start_tracing()
    if _application() == CANDIDATE:
        _give_way()


def _give_way() -> None:
    """Lower the priority of this process: on Linux each thread has its own, and starts others."""
    for thread in os.listdir("/proc/self/task"):
        with suppress(ProcessLookupError):  # it has ended
            os.setpriority(os.PRIO_PROCESS, int(thread), _NICENESS)


def _application() -> str | None:
    """Return the name of this replica's application, or None outside of Serve."""
    try:
        return serve.get_replica_context().app_name
    except RayServeException:
        return None
