"""The units as systemd reads them, with the drop-in that all services share."""

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

from serve_app.paths import ROOT

SYSTEMD = ROOT / "cluster/systemd"
UNITS = SYSTEMD / "etc/systemd/system"
HARDENING = UNITS / "lesionserve-.service.d/hardening.conf"

# What systemd puts in the place of a specifier, for a system service.
SPECIFIERS = {"%S": "/var/lib", "%t": "/run", "%n": "the-unit", "%i": "the-instance"}


@dataclass
class Unit:
    """settings: the values of each `Section.Key`, in the order in which systemd reads them."""

    name: str
    settings: dict[str, list[str]] = field(default_factory=dict)

    def add(self, text: str) -> None:
        """Add the settings of a file."""
        section = ""
        for line in re.sub(r"\\\n\s*", " ", text).splitlines():
            if line.startswith("["):
                section = line.strip("[]")
            elif line and not line.startswith("#"):
                key, _, value = line.partition("=")
                self.settings.setdefault(f"{section}.{key}", []).append(value.strip())

    def all(self, key: str) -> list[str]:
        return self.settings.get(key, [])

    def last(self, key: str) -> str:
        """Return the value that counts; empty where there is none."""
        return (self.all(key) or [""])[-1]

    def words(self, key: str) -> list[str]:
        return [word for value in self.all(key) for word in value.split()]

    @property
    def environment(self) -> dict[str, str]:
        pairs = (value.partition("=") for value in self.all("Service.Environment"))
        return {name: value for name, _, value in pairs}

    @property
    def commands(self) -> list[str]:
        """Return every command line, without systemd's prefixes."""
        keys = ("ExecCondition", "ExecStartPre", "ExecStart", "ExecStartPost", "ExecStop")
        return [value.lstrip("-@+!:") for key in keys for value in self.all(f"Service.{key}")]


def read_units(folder: Path = UNITS, shared: str | None = None) -> dict[str, Unit]:
    """Return all units by their name."""
    shared = HARDENING.read_text() if shared is None else shared
    units = {}
    for path in sorted(folder.glob("*.*")):
        if path.is_file():
            unit = units[path.name] = Unit(path.name)
            unit.add(path.read_text())
            if path.suffix == ".service":
                unit.add(shared)
    return units


def variables(text: str) -> dict[str, str]:
    """Return the variables of an environment file."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def arguments(command: str, values: dict[str, str]) -> list[str]:
    """Return a command line as systemd executes it, with these variables and its specifiers."""
    for specifier, value in SPECIFIERS.items():
        command = command.replace(specifier, value)
    return [
        re.sub(r"\$\{(\w+)\}", lambda match: values[match[1]], word)
        for word in shlex.split(command)
    ]
