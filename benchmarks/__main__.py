"""Run the benchmarks, side by side and alternating, and print ratios: `make bench`."""

import argparse
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType

from benchmarks.report import Result, print_table

# Each is a module of this package, with underscores, that has `run() -> Result`.
PARTS = (
    "engine",
    "gpu",
    "accuracy",
    "masks",
    "drawing",
    "viewer",
    "codecs",
    "decode",
    "quality",
    "watch",
    "serving-demo",
    "serving-r50",
    "overhead",
    "cost",
    "monitoring",
    "autoscaling",
    "startup",
    "soak",
    "usage",
    "records",
    "rollouts",
)
# Names for several parts.
GROUPS = {"serving": ("serving-demo", "serving-r50")}
OUT = Path("out/benchmarks")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "parts",
        nargs="*",
        metavar="PART",
        help=f"of {', '.join((*PARTS, *GROUPS))}; all, unless named",
    )
    parser.add_argument("--out", type=Path, default=OUT, help="a JSON file for each part")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS) - set(GROUPS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    results: list[Result] = []
    for part in expanded(arguments.parts or PARTS):
        result: Result = module(part).run()
        result.write(arguments.out)
        results.append(result)
    print_table(results)


def expanded(names: Sequence[str]) -> list[str]:
    """Return the parts of the names, where a group stands for all of its own."""
    return [part for name in names for part in GROUPS.get(name, (name,))]


def module(part: str) -> ModuleType:
    return import_module(f"benchmarks.{part.replace('-', '_')}")


if __name__ == "__main__":
    main()
