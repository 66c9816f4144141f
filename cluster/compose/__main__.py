"""Make the folder of a Compose installation: python -m cluster.compose FOLDER --host NAME."""

import argparse
import re
import sys
from pathlib import Path

from cluster.compose.folder import Folder
from cluster.errors import StackError

_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9-]{1,63})*")


def main(arguments: list[str] | None = None) -> int:
    """Return the exit status: 0, 1 where a file cannot be written, 2 for a wrong command line."""
    parser = argparse.ArgumentParser(prog="python -m cluster.compose", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--host", required=True, help="the name under which clients reach it")
    options = parser.parse_args(arguments)
    if not _HOST.fullmatch(options.host):
        parser.error("--host: a host name in small letters, or an address, without port")
    folder = Folder(options.folder, options.host)
    try:
        folder.fill()
    except StackError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{options.folder}: {len(folder.made)} files made, {len(folder.kept)} kept as they were")
    return 0


if __name__ == "__main__":
    sys.exit(main())
