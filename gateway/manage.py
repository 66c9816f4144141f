"""Django's command line: `python -m gateway.manage` or `python gateway/manage.py`."""

import os
import signal
import sys
from pathlib import Path
from typing import NoReturn


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")
    # A command's metrics are its own, and not among those of the server's processes.
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
        sys.stdout.flush()
    except ImproperlyConfigured as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        if error.filename is not None:  # an error of a file, not of the output
            raise
        _end_without_output(error)


def _end_without_output(error: OSError) -> NoReturn:
    """End a command whose output cannot be written: its reader is gone (`| head`), or the disk is
    full.

    There is no traceback, and the interpreter does not try to write the rest again.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):
        sys.exit(128 + signal.SIGPIPE)  # the status that a shell reports for other programs
    print(f"The output cannot be written: {error.strerror}.", file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    if not __package__:
        # Run as a file, Python has this folder on its path instead of the parent folder.
        sys.path[0] = str(Path(__file__).resolve().parent.parent)
    main()
