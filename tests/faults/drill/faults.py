"""The faults of the drill. Each one is a block: it begins with the fault and ends with a repair."""

import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import psutil

from tests.faults.drill.clinic import send
from tests.faults.drill.drill import Drill
from tests.faults.drill.memory import overwrite
from tests.faults.drill.stack import REPLICA, REPLICAS, DrillStack, write_certificate

PROXY = "the Serve proxy"
_FULL_BYTES = 250 * 1024 * 1024
_HOLDS_S = 5.5  # above the objective of 5 s
_AT_ONCE = 6
_EVERY_S = 0.5
_FOUND_S = 2.0  # until the proxy sends images to a new replica


@contextmanager
def probe_key_revoked(drill: Drill) -> Iterator[None]:
    stack = drill.stack
    key_id = stack.probe_key_id()
    revoked = stack.manage("revoke_key", "--", key_id)
    assert revoked.returncode == 0, revoked.stderr
    try:
        yield
    finally:
        stack.postgres.run_sql(f"UPDATE keys_apikey SET revoked_at = NULL WHERE id = '{key_id}'")


@contextmanager
def ingress_gone(drill: Drill) -> Iterator[None]:
    """Kill Serve's proxy, and each one that the controller starts in its place."""
    with _repeatedly(lambda: _kill(drill.stack.processes_of(PROXY))):
        yield


@contextmanager
def replicas_hung(drill: Drill) -> Iterator[None]:
    """Stop every replica, so that no image is answered and no health check.

    A doctor sends some images at once; each is given up at the deadline.
    """
    with ThreadPoolExecutor(_AT_ONCE) as clients, _stopped(drill.stack.replicas()):
        for _ in range(_AT_ONCE):
            clients.submit(send, drill.stack.up)
        yield


@contextmanager
def model_too_slow(drill: Drill) -> Iterator[None]:
    """Hold the replicas for longer than the objective, each time that they have got images.

    The clinic sends no others meanwhile, since the share of slow ones is what counts.
    """

    def send_slowly() -> None:
        with ThreadPoolExecutor(_AT_ONCE) as clients:
            with _stopped(drill.stack.replicas()):
                answers = [clients.submit(send, drill.stack.up) for _ in range(_AT_ONCE)]
                time.sleep(_HOLDS_S)
            assert {answer.result() for answer in answers} <= {200, 503}

    with drill.clinic.closed(), _repeatedly(send_slowly):
        yield


@contextmanager
def replica_killed_repeatedly(drill: Drill) -> Iterator[None]:
    """Kill a replica whenever all of them are ready, so that one always answers."""

    def kill_oldest() -> None:
        replicas = drill.stack.replicas()
        if len(replicas) == REPLICAS:
            time.sleep(_FOUND_S)
            _kill(replicas[:1])

    with _repeatedly(kill_oldest):
        yield


@contextmanager
def deployment_crash_looping(drill: Drill) -> Iterator[None]:
    """Kill every replica as soon as it is there: none becomes ready."""
    with _repeatedly(lambda: _kill(drill.stack.processes_of(REPLICA))):
        yield


@contextmanager
def bundle_removed(drill: Drill) -> Iterator[None]:
    """Take the model's file away, and let all replicas start again without it."""
    path = drill.stack.bundle / "model.pth"
    content = path.read_bytes()
    path.unlink()
    _kill(drill.stack.replicas())
    try:
        yield
    finally:
        path.write_bytes(content)


@contextmanager
def weights_altered(drill: Drill) -> Iterator[None]:
    """Overwrite weights in the memory of one replica. Its own check finds it, and Serve replaces
    the replica, so nothing is left to repair.

    The replica refuses images until it is replaced, some 15 s, in which a clinic sends none. This
    one sends twenty times as many, so it is closed.
    """
    with drill.clinic.closed():
        overwrite(drill.stack.replicas()[0].pid, drill.stack.bundle / "model.pth")
        yield


@contextmanager
def database_away(drill: Drill) -> Iterator[None]:
    drill.stack.postgres.stop()
    try:
        yield
    finally:
        drill.stack.postgres.start()


@contextmanager
def redis_away(drill: Drill) -> Iterator[None]:
    drill.stack.redis.stop()
    try:
        yield
    finally:
        drill.stack.redis.start()


@contextmanager
def disk_nearly_full(drill: Drill) -> Iterator[None]:
    assert drill.stack.disk is not None, "skipped without a disk"
    filler = drill.stack.disk / "filler"
    with filler.open("wb") as file:
        for _ in range(_FULL_BYTES // 2**20):
            file.write(b"\0" * 2**20)
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def certificate_expiring(drill: Drill) -> Iterator[None]:
    write_certificate(drill.stack.certificate, days=1)
    try:
        yield
    finally:
        write_certificate(drill.stack.certificate, days=365)


@contextmanager
def audit_row_tampered(drill: Drill) -> Iterator[None]:
    """Change the status of one sealed request, which the next verification finds."""
    stack = drill.stack
    sealed = "state = 'succeeded' ORDER BY id LIMIT 1"
    row = stack.postgres.run_sql(f"SELECT id, status FROM usage_record WHERE {sealed}").strip()
    row_id, status = row.split("|")
    _set_status(stack, row_id, "201")
    try:
        found = stack.manage("verify_audit")
        assert found.returncode != 0, found.stdout
        yield
    finally:
        _set_status(stack, row_id, status)
        intact = stack.manage("verify_audit")
    assert intact.returncode == 0, intact.stderr


def _set_status(stack: DrillStack, row_id: str, status: str) -> None:
    stack.postgres.run_sql(f"UPDATE usage_record SET status = {status} WHERE id = {row_id}")


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()


@contextmanager
def _stopped(processes: list[psutil.Process]) -> Iterator[None]:
    """Stop the processes for the block (SIGSTOP), and let them go on after it."""
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)


@contextmanager
def _repeatedly(act) -> Iterator[None]:  # type: ignore[no-untyped-def]
    """Act again and again in a thread during the block; raise at its end what it raised."""
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(_EVERY_S):
            act()

    with ThreadPoolExecutor(1) as thread:
        acting = thread.submit(repeat)
        try:
            yield
        finally:
            over.set()
        acting.result()
