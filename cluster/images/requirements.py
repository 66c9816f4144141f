"""Print what lesionserve and some of its extras depend on, without lesionserve itself.

It runs while an image is built: python requirements.py PYPROJECT EXTRA…
"""

import re
import sys
import tomllib
from pathlib import Path


def requirements(pyproject: Path, extras: list[str]) -> list[str]:
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    optional = project["optional-dependencies"]

    def of_extra(extra: str) -> list[str]:
        lines = []
        for line in optional[extra]:
            # An extra may name others of its own project.
            own = re.fullmatch(rf"{project['name']}\[([\w,]+)\]", line)
            names = own[1].split(",") if own else []
            lines += [line] if own is None else [part for name in names for part in of_extra(name)]
        return lines

    return [*project["dependencies"], *(line for extra in extras for line in of_extra(extra))]


if __name__ == "__main__":
    print(*requirements(Path(sys.argv[1]), sys.argv[2:]), sep="\n")
