"""Send images all the time, as few as a real clinic does."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from tests.e2e.up import IMAGE, Up

_CLIENTS = 6
_PAUSE_S = 6.0


class Clinic:
    """Run clients that each send an image, wait for its answer, and pause."""

    def __init__(self, up: Up) -> None:
        self._up = up
        self._stopping = threading.Event()
        self._is_open = threading.Event()
        self._is_open.set()
        self._statuses: Counter[int | None] = Counter()
        self._threads = [
            threading.Thread(target=self._client, args=(number * _PAUSE_S / _CLIENTS,))
            for number in range(_CLIENTS)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._is_open.set()
        for thread in self._threads:
            thread.join(120)

    def take_statuses(self) -> dict[int | None, int]:
        """Return how often each status was answered since the last call."""
        statuses, self._statuses = self._statuses, Counter()
        return dict(statuses)

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Send no image during the block."""
        self._is_open.clear()
        try:
            yield
        finally:
            self._is_open.set()

    def _client(self, first_after_s: float) -> None:
        self._stopping.wait(first_after_s)
        while not self._stopping.is_set():
            if self._is_open.wait(1):
                self._statuses[send(self._up)] += 1
            self._stopping.wait(_PAUSE_S)


def send(up: Up) -> int | None:
    """Send an image; return the status of the answer, or None where the connection was lost."""
    try:
        return up.post(IMAGE, query="?visualization=none").status_code
    except httpx.TransportError:
        return None


@contextmanager
def sending(up: Up) -> Iterator[Clinic]:
    clinic = Clinic(up)
    try:
        yield clinic
    finally:
        clinic.stop()
