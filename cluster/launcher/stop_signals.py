import signal
import sys
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import NoReturn, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopSignals:
    """Within it SIGINT raises KeyboardInterrupt, SIGTERM and SIGHUP raise SystemExit.

    For the main thread. The handlers of before are restored at the end.
    """

    def __init__(self) -> None:
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            # A shell starts background processes of a script with SIGINT ignored.
            signal.signal(signal.SIGINT, signal.default_int_handler)
        self._former = {signum: signal.getsignal(signum) for signum in _SIGNALS}
        signal.signal(signal.SIGTERM, _exit)
        signal.signal(signal.SIGHUP, _exit)

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

    def only_hurry(self, hurry: Callable[[], None]) -> None:
        """Ignore SIGTERM and SIGHUP from now on; SIGINT calls `hurry` and interrupts nothing."""
        for signum in _SIGNALS:
            signal.signal(signum, signal.SIG_IGN)
        signal.signal(signal.SIGINT, lambda *_: hurry())


def _exit(signum: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(128 + signum)
