from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from time import monotonic

_REMIND_S = 15.0


class Stages:
    """Report how far a start has come: a line as each stage begins, with the seconds until then.

    `say` takes a line, `show` is entered while a stage is under way (a clock on a terminal). Where
    a stage takes long, `tick()` repeats its name every 15 seconds, for readers of a log.
    """

    def __init__(
        self, say: Callable[[str], None], show: Callable[[str], AbstractContextManager[None]]
    ) -> None:
        self._say = say
        self._show = show
        self._started = monotonic()
        self._name = ""
        self._reported_at = self._started

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self._name = name
        self._report(name)
        with self._show(name):
            yield

    def tick(self) -> None:
        if monotonic() - self._reported_at >= _REMIND_S:
            self._report(f"still {self._name}")

    @property
    def elapsed_s(self) -> float:
        return monotonic() - self._started

    def _report(self, line: str) -> None:
        self._reported_at = monotonic()
        self._say(f"{self.elapsed_s:4.0f} s  {line}")
