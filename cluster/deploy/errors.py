from enum import IntEnum

from cluster.errors import StackError
from pipeline.text import one_line

REASON_LETTERS = 300


class Exit(IntEnum):
    """The exit status of `lesionserve deploy`."""

    SERVES = 0
    MISUSE = 2
    REFUSED = 3
    ROLLED_BACK = 4
    NOT_ROLLED_BACK = 5


def error_line(error: BaseException) -> str:
    """Return the last line of an error's text, which says the reason, or its class."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return one_line(lines[-1].strip(), REASON_LETTERS)


def misuse(message: str) -> StackError:
    return StackError(message, exit_status=Exit.MISUSE)


def rolled_back(message: str) -> StackError:
    return StackError(message, exit_status=Exit.ROLLED_BACK)


def not_rolled_back(message: str) -> StackError:
    return StackError(message, exit_status=Exit.NOT_ROLLED_BACK)


def refused(message: str) -> StackError:
    """Return the error of a check that failed before anything was changed on the cluster."""
    return StackError(f"{message} (nothing was changed)", exit_status=Exit.REFUSED)
