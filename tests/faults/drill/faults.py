"""The faults of the drill. Each one is a block: it begins with the fault and ends with a repair."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

from tests.faults.drill.drill import Drill

PROXY = "the Serve proxy"


@contextmanager
def probe_key_revoked(drill: Drill) -> Iterator[None]:
    stack = drill.stack
    key_id = stack.probe_key_id()
    revoked = stack.manage("revoke_key", "--", key_id)
    assert revoked.returncode == 0, revoked.stderr
    yield
    stack.postgres.run_sql(f"UPDATE keys_apikey SET revoked_at = NULL WHERE id = '{key_id}'")


@contextmanager
def ingress_gone(drill: Drill) -> Iterator[None]:
    """Kill Serve's proxy, and each one that the controller starts in its place."""
    with killing(drill, PROXY):
        yield


@contextmanager
def killing(drill: Drill, role: str) -> Iterator[None]:
    """Kill every process of this role as soon as it is there, during the block."""
    over = threading.Event()

    def kill() -> None:
        while not over.wait(0.2):
            for process in drill.stack.processes_of(role):
                with suppress(psutil.NoSuchProcess):
                    process.kill()

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(30)
