import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

Child = subprocess.Popen[bytes]

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_REAP_S = 0.02
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True)
class WatchedProcess:
    """A process of the group. `title` is its command line, which Ray rewrites as roles change."""

    process: psutil.Process
    title: str

    @property
    def pid(self) -> int:
        pid: int = self.process.pid
        return pid


class ProcessGroup:
    """All descendants of this process: it starts children, watches them, and ends every one."""

    def __init__(self) -> None:
        self._children: dict[int, Child] = {}
        self._known: dict[psutil.Process, WatchedProcess] = {}
        if _libc is not None:
            # An orphan becomes our child instead of init's, so that it is still watched.
            _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)

    def start(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        descriptors: Sequence[int] = (),
    ) -> Child:
        """Start a child that appends its output to `log` and inherits `descriptors`.

        It has a session of its own, so that Ctrl-C in the terminal reaches us alone and the
        children are stopped in order; it gets SIGTERM where we are killed without doing so.
        """
        with log.open("ab") as output:
            child = subprocess.Popen(
                command,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                pass_fds=descriptors,
                preexec_fn=None if _libc is None else die_with_parent,
            )
        self._children[child.pid] = child
        return child

    def poll_ended(self) -> list[WatchedProcess]:
        """Return the processes that have ended since the last call."""
        # A psutil.Process is a pid with its start time: a reused pid is another process.
        alive = {watched.process: self._named(watched) for watched in self._alive()}
        ended = [watched for process, watched in self._known.items() if process not in alive]
        self._known = alive
        return ended

    def stop(self, within_s: float) -> None:
        """End the whole group.

        The children get SIGTERM in the reverse order of their start, and each has `within_s`
        seconds; then every process that is left is killed, whoever started it.
        """
        for child in reversed(self._children.values()):
            child.terminate()
            with suppress(subprocess.TimeoutExpired):
                child.wait(within_s)
        while remaining := self._alive():
            for watched in remaining:
                with suppress(psutil.NoSuchProcess):
                    watched.process.kill()
            time.sleep(_REAP_S)

    def kill(self) -> None:
        """Kill the children at once."""
        for child in self._children.values():
            child.kill()

    def _named(self, watched: WatchedProcess) -> WatchedProcess:
        # A killed process loses its command line with its memory, and a large one takes a while
        # from there to its end.
        return watched if watched.title else self._known.get(watched.process, watched)

    def _alive(self) -> list[WatchedProcess]:
        alive = []
        for process in psutil.Process().children(recursive=True):
            try:
                if process.status() != psutil.STATUS_ZOMBIE:
                    alive.append(WatchedProcess(process, " ".join(process.cmdline())))
                elif process.ppid() == os.getpid() and process.pid not in self._children:
                    os.waitpid(process.pid, os.WNOHANG)  # an orphan that we adopted
            except psutil.NoSuchProcess:
                continue
        for child in self._children.values():
            child.poll()
        return alive


def die_with_parent() -> None:
    """Have the kernel send SIGTERM to this process when its parent dies."""
    assert _libc is not None, "only passed on where there is prctl"
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
