import signal
from types import FrameType
from typing import Self

from cluster.signal_scope import STOP_SIGNALS, SignalScope


class FirstInterrupt(SignalScope):
    """A context in which the first stop signal raises KeyboardInterrupt, and no further one does.

    So the work that an interrupt makes necessary is not interrupted itself.
    """

    def __init__(self) -> None:
        super().__init__()
        self._raises = True

    def __enter__(self) -> Self:
        for signum in STOP_SIGNALS:
            signal.signal(signum, self._handle)
        return self

    def ignore_further(self) -> None:
        """Ignore signals from now on, whether one came or not."""
        self._raises = False

    def _handle(self, _signum: int, _frame: FrameType | None) -> None:
        if self._raises:
            self._raises = False
            raise KeyboardInterrupt
