import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

from serve_app.paths import ROOT

PEERS = Path(__file__).parent
ENVIRONMENTS = ROOT / "out" / "peers"


def interpreter(peer: str, *, engine: bool = True) -> Path:
    """Return the peer's own Python, in an environment made on first use and when it needs more.

    engine: whether the peer runs this project's engine in that environment.
    """
    folder = ENVIRONMENTS / peer
    python, stamp = folder / "bin" / "python", folder / "installed"
    ours = engine_requirements() if engine else []
    needed = ours + _lines(PEERS / peer / "requirements.txt")
    pinned = pins(ours)
    wanted = "\n".join(needed + pinned)
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    print(f"benchmarks: installing {peer} below {folder.parent.name}/", file=sys.stderr)
    if not python.exists():
        _uv("venv", "--python", sys.executable, str(folder))
    constraints = folder / "constraints.txt"
    constraints.write_text("\n".join(pinned))
    _uv("pip", "install", "--python", str(python), "--constraint", str(constraints), *needed)
    stamp.write_text(wanted)
    return python


def engine_requirements() -> list[str]:
    """Return what this project's engine needs on a CPU: all of the extra `cpu` but Ray."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = project["dependencies"] + project["optional-dependencies"]["cpu"]
    return [requirement for requirement in needed if _name(requirement) != "ray"]


def pins(requirements: Sequence[str]) -> list[str]:
    """Return the pins of these packages: a peer brings its own versions of the rest."""
    names = {_name(requirement) for requirement in requirements}
    return [line for line in _lines(ROOT / "constraints.txt") if _name(line) in names]


def _name(requirement: str) -> str:
    match = re.match(r"[\w.-]+", requirement)
    assert match is not None
    return match[0]


def _lines(path: Path) -> list[str]:
    lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    return [line for line in lines if line]


def _uv(*arguments: str) -> None:
    subprocess.run([Path(sys.executable).parent / "uv", "--quiet", *arguments], check=True)
