"""Side by side in one run, alternating, as ratios: `make bench`. RESULTS.md holds the results."""

import argparse
from importlib import import_module
from pathlib import Path

from benchmarks.report import Result, print_table

# Each is a module of this package with `run() -> Result`.
PARTS = ("engine",)
OUT = Path("out/benchmarks")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="by default all")
    parser.add_argument("--out", type=Path, default=OUT, help="a JSON file for each part")
    arguments = parser.parse_args()
    results: list[Result] = []
    for part in arguments.parts or PARTS:
        result: Result = import_module(f"benchmarks.{part}").run()
        result.write(arguments.out)
        results.append(result)
    print_table(results)


if __name__ == "__main__":
    main()
