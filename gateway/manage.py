"""Django's command line: `python -m gateway.manage` or `python gateway/manage.py`."""

import os
import sys
from pathlib import Path


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    if not __package__:
        # Run as a file, Python puts this folder on the path instead of the one that holds it.
        sys.path[0] = str(Path(__file__).resolve().parent.parent)
    main()
