import signal
from types import FrameType, TracebackType
from typing import Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class FirstInterrupt:
    """Within it the first SIGINT, SIGTERM or SIGHUP raises KeyboardInterrupt, and no further one.

    What has to be put in order after an interrupt is not interrupted itself. For the main thread.
    """

    def __init__(self) -> None:
        self._raises = True
        self._former = {signum: signal.getsignal(signum) for signum in _SIGNALS}

    def __enter__(self) -> Self:
        for signum in _SIGNALS:
            signal.signal(signum, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for signum, handler in self._former.items():
            signal.signal(signum, handler)

    def ignore_further(self) -> None:
        """Ignore signals from now on, whether one came or not."""
        self._raises = False

    def _handle(self, _signum: int, _frame: FrameType | None) -> None:
        if self._raises:
            self._raises = False
            raise KeyboardInterrupt
