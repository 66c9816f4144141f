"""Django's command line: `python -m gateway.manage` or `python gateway/manage.py`."""

import os
import signal
import sys
from pathlib import Path
from typing import NoReturn


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
        sys.stdout.flush()
    except OSError as error:
        if error.filename is not None:  # of a file, and not of the output
            raise
        _end_without_output(error)


def _end_without_output(error: OSError) -> NoReturn:
    """End a command whose output nobody takes any more (`| head`), or that the disk has no room
    for; without a traceback, and without the interpreter's last try to write the rest."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):
        sys.exit(128 + signal.SIGPIPE)  # as a shell tells it of other programs
    print(f"The output cannot be written: {error.strerror}.", file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    if not __package__:
        # Run as a file, Python puts this folder on the path instead of the one that holds it.
        sys.path[0] = str(Path(__file__).resolve().parent.parent)
    main()
