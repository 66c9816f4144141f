"""Print the command's output.

What a program may read goes to stdout, the rest to stderr; every text from outside is escaped here.
"""

import errno
import os
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.status import Status
from rich.table import Table

from pipeline.text import printable


class _Err(Console):
    """Write to standard error without ever failing: with no reader left, nothing is said."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


# Names are plain text, without rich's markup and emoji codes.
ERR = _Err(stderr=True, highlight=False, soft_wrap=True, emoji=False)

_debug = False


def prepare_streams() -> None:
    """Make the standard streams fit for any text, in any locale; call it first.

    A stream that is closed is opened on the null device, since the next file to be opened would
    take its place and get what is printed.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free descriptor, which is this one
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def set_debug(value: bool) -> bool:
    """Show tracebacks from now on if `value` is true; false never switches them off.

    The callback of --debug.
    """
    global _debug
    _debug = _debug or value
    return value


def say(message: str) -> None:
    """Print one line to stderr. A terminal that has gone is no reason to stop halfway."""
    try:
        ERR.print(printable(message), markup=False)
    except OSError:
        ERR.quiet = True


def say_lines(text: str) -> None:
    """Print a text line by line, each line escaped separately."""
    for line in text.splitlines():
        say(line)


def output(text: str) -> None:
    """Print one line of a result to stdout. Raise OSError where nobody can read it."""
    _require_stdout()
    sys.stdout.write(f"{printable(text)}\n")
    sys.stdout.flush()


def output_table(table: Table) -> None:
    """Print a table whose cells are already escaped. Raise OSError where nobody can read it."""
    _require_stdout()
    Console(highlight=False, emoji=False).print(table)


def finish_output() -> bool:
    """Write what is still to be written to stdout; return whether it could be.

    What could not is dropped, or the interpreter would try again at its end and complain.
    """
    if sys.stdout is None:
        return True
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True


def remark(remarks: Iterable[str]) -> None:
    """Print what of a model's files was accepted and is not used."""
    for text in dict.fromkeys(remarks):
        say(f"note: {text}")


def fail(message: str, error: BaseException, log: str = "") -> None:
    """Print one clear line; with --debug the traceback too, and the log of what failed."""
    if _debug:
        say_lines("".join(traceback.format_exception(error)))
        say_lines(log)
    say(f"lesionserve: {message}")


def status(what: str) -> Status:
    return ERR.status(escape(printable(what)))


def progress(*, visible: bool) -> Progress:
    """Return a bar for a number of images."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=ERR,
        disable=not (visible and ERR.is_terminal),
    )


@contextmanager
def clock(what: str) -> Iterator[None]:
    """Show on a terminal what is being done and for how long, until the block ends."""
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=ERR, transient=True, disable=not ERR.is_terminal) as live:
        live.add_task(printable(what), total=None)
        yield


def _require_stdout() -> None:
    if sys.stdout is None:
        raise OSError(errno.EBADF, "standard output is closed")
