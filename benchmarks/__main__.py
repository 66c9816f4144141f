"""Run the benchmarks, side by side and alternating, and print ratios: `make bench`."""

import argparse
from importlib import import_module
from pathlib import Path

from benchmarks.report import Result, print_table

# Each is a module of this package with `run() -> Result`.
PARTS = (
    "engine",
    "gpu",
    "accuracy",
    "masks",
    "drawing",
    "codecs",
    "decode",
    "quality",
    "serving",
    "overhead",
    "cost",
    "monitoring",
    "autoscaling",
    "startup",
    "soak",
    "usage",
    "records",
)
OUT = Path("out/benchmarks")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all, unless named"
    )
    parser.add_argument("--out", type=Path, default=OUT, help="a JSON file for each part")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    results: list[Result] = []
    for part in arguments.parts or PARTS:
        result: Result = import_module(f"benchmarks.{part}").run()
        result.write(arguments.out)
        results.append(result)
    print_table(results)


if __name__ == "__main__":
    main()
