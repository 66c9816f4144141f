import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from cluster.signal_scope import STOP_SIGNALS, SignalScope


class StopSignals(SignalScope):
    """A context in which SIGINT raises KeyboardInterrupt, SIGTERM and SIGHUP raise SystemExit."""

    def __init__(self) -> None:
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            # A shell starts background processes of a script with SIGINT ignored.
            signal.signal(signal.SIGINT, signal.default_int_handler)
        super().__init__()
        signal.signal(signal.SIGTERM, _exit)
        signal.signal(signal.SIGHUP, _exit)

    def only_hurry(self, hurry: Callable[[], None]) -> None:
        """Ignore SIGTERM and SIGHUP from now on; SIGINT calls `hurry` and interrupts nothing."""
        for signum in STOP_SIGNALS:
            signal.signal(signum, signal.SIG_IGN)
        signal.signal(signal.SIGINT, lambda *_: hurry())


def _exit(signum: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(128 + signum)
