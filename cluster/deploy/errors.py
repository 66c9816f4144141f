from enum import IntEnum

from cluster.errors import StackError


class Exit(IntEnum):
    """The exit status of `lesionserve deploy`."""

    SERVES = 0
    MISUSE = 2
    REFUSED = 3
    ROLLED_BACK = 4
    NOT_ROLLED_BACK = 5


def misuse(message: str) -> StackError:
    return StackError(message, exit_status=Exit.MISUSE)


def rolled_back(message: str) -> StackError:
    return StackError(message, exit_status=Exit.ROLLED_BACK)


def not_rolled_back(message: str) -> StackError:
    return StackError(message, exit_status=Exit.NOT_ROLLED_BACK)


def refused(message: str) -> StackError:
    """Return the error of a check that failed before anything was changed on the cluster."""
    return StackError(f"{message} (nothing was changed)", exit_status=Exit.REFUSED)
