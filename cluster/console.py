import sys
import traceback
from collections.abc import Iterable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.status import Status

# What a program may read goes to stdout; everything said to a person goes to stderr.
ERR = Console(stderr=True, highlight=False, soft_wrap=True)

_debug = False


def set_debug(value: bool) -> bool:
    """The callback of --debug."""
    global _debug
    _debug = _debug or value
    return value


def say(message: str) -> None:
    ERR.print(message, markup=False)


def remark(remarks: Iterable[str]) -> None:
    """Say what of a model's files was accepted and is not used."""
    for text in dict.fromkeys(remarks):
        say(f"note: {text}")


def fail(message: str, error: BaseException, log: str = "") -> None:
    """One clear line; with --debug the traceback too, and the log of the process that failed."""
    if _debug:
        traceback.print_exception(error, file=sys.stderr)
        sys.stderr.write(log and f"{log}\n")
    say(f"lesionserve: {message}")


def status(what: str) -> Status:
    return ERR.status(what)


def progress(*, visible: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=ERR,
        disable=not visible,
    )
