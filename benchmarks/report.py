import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

_PACKAGES = ("torch", "torchvision", "openvino", "ray", "django", "opencv-python-headless", "numpy")


NO_TARGET = "-"


@dataclass(frozen=True, slots=True)
class Figure:
    """A target beside what was measured.

    met: None where nothing could be measured here, and where there is no target: `wanted` is
    NO_TARGET then.
    """

    target: str
    wanted: str
    measured: str
    met: bool | None


@dataclass(frozen=True, slots=True)
class Result:
    """The figures of one benchmark. `details` is plain JSON: every number behind them."""

    name: str
    figures: list[Figure]
    details: dict[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        document = {"date": date.today().isoformat(), "machine": machine(), **asdict(self)}
        (folder / f"{self.name}.json").write_text(json.dumps(document, indent=1) + "\n")


def machine() -> dict[str, str]:
    return {
        "cpu": _cpu(),
        "python": platform.python_version(),
        **{name: _version(name) for name in _PACKAGES},
    }


def print_table(results: Sequence[Result]) -> None:
    table = Table("target", "wanted", "measured", "")
    for result in results:
        for figure in result.figures:
            table.add_row(figure.target, figure.wanted, figure.measured, _verdict(figure))
    Console(highlight=False).print(table)


def _verdict(figure: Figure) -> str:
    if figure.met is None:
        return "not measured" if figure.wanted != NO_TARGET else ""
    return "met" if figure.met else "missed"


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(models)} x {models[0]}"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
