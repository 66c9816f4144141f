import time
from collections.abc import Callable


def until(happened: Callable[[], bool], within_s: float = 120) -> None:
    """Return once it has happened. Fail where it does not in time."""
    deadline = time.monotonic() + within_s
    while not happened():
        assert time.monotonic() < deadline, f"it did not happen within {within_s} s"
        time.sleep(0.05)
