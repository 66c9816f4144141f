import signal
from types import TracebackType
from typing import Self

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class SignalScope:
    """A context that restores the handlers of the signals that stop a program. Main thread only."""

    def __init__(self) -> None:
        self._former = {signum: signal.getsignal(signum) for signum in STOP_SIGNALS}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for signum, handler in self._former.items():
            signal.signal(signum, handler)
