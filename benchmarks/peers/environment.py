import re
import subprocess
import sys
import tomllib
from pathlib import Path

from serve_app.paths import ROOT

PEERS = Path(__file__).parent
ENVIRONMENTS = ROOT / "out" / "peers"
_CONSTRAINTS = ENVIRONMENTS / "engine-constraints.txt"


def interpreter(peer: str) -> Path:
    """Return the peer's own Python, in an environment made on first use and when it needs more."""
    folder = ENVIRONMENTS / peer
    python, stamp = folder / "bin" / "python", folder / "installed"
    needed = _engine_requirements() + _lines(PEERS / peer / "requirements.txt")
    pinned = _engine_pins()
    wanted = "\n".join(needed + pinned)
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    print(f"benchmarks: installing {peer} below {folder.parent.name}/", file=sys.stderr)
    if not python.exists():
        _uv("venv", "--python", sys.executable, str(folder))
    _CONSTRAINTS.write_text("\n".join(pinned))
    _uv("pip", "install", "--python", str(python), "--constraint", str(_CONSTRAINTS), *needed)
    stamp.write_text(wanted)
    return python


def _engine_requirements() -> list[str]:
    """Return what this project's engine needs: everything of the extra `serve` but Ray."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = project["dependencies"] + project["optional-dependencies"]["serve"]
    return [requirement for requirement in needed if _name(requirement) != "ray"]


def _engine_pins() -> list[str]:
    """Return the pins of the engine's packages: a peer brings its own versions of the rest."""
    names = {_name(requirement) for requirement in _engine_requirements()}
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
