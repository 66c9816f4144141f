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
class Member:
    """A process of the family. `title` is its command line, which Ray rewrites as roles change."""

    process: psutil.Process
    title: str

    @property
    def pid(self) -> int:
        return self.process.pid


class Family:
    """All the processes that come from us: started here, watched, and ended to the last."""

    def __init__(self) -> None:
        self._children: dict[int, Child] = {}
        self._known: dict[psutil.Process, Member] = {}
        if _libc is not None:
            # An orphan becomes our child instead of init's, so that none is lost from sight.
            _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)

    def start(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        keep: Sequence[int] = (),
    ) -> Child:
        """Starts a child whose output is appended to `log`, and which has the descriptors `keep`.

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
                pass_fds=keep,
                preexec_fn=None if _libc is None else _die_with_parent,
            )
        self._children[child.pid] = child
        return child

    def look(self) -> list[Member]:
        """Who has gone since the last look."""
        # A psutil.Process is its pid and its start time, so a pid that is used again deceives none.
        alive = {member.process: self._named(member) for member in self._alive()}
        gone = [member for process, member in self._known.items() if process not in alive]
        self._known = alive
        return gone

    def stop(self, within_s: float) -> None:
        """Ends all of us: the children in the reverse order of their start, each with time to
        obey, and then whoever is left, whoever started it for us."""
        for child in reversed(self._children.values()):
            child.terminate()
            with suppress(subprocess.TimeoutExpired):
                child.wait(within_s)
        while members := self._alive():
            for member in members:
                with suppress(psutil.NoSuchProcess):
                    member.process.kill()
            time.sleep(_REAP_S)

    def kill(self) -> None:
        """Lets no child take its time."""
        for child in self._children.values():
            child.kill()

    def _named(self, member: Member) -> Member:
        # Who is being killed loses the command line with the memory, and a large one takes a while
        # from there to its end.
        return member if member.title else self._known.get(member.process, member)

    def _alive(self) -> list[Member]:
        members = []
        for process in psutil.Process().children(recursive=True):
            try:
                if process.status() != psutil.STATUS_ZOMBIE:
                    members.append(Member(process, " ".join(process.cmdline())))
                elif process.ppid() == os.getpid() and process.pid not in self._children:
                    os.waitpid(process.pid, os.WNOHANG)  # an orphan that we adopted
            except psutil.NoSuchProcess:
                continue
        for child in self._children.values():
            child.poll()
        return members


def _die_with_parent() -> None:
    assert _libc is not None, "only passed on where there is prctl"
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
