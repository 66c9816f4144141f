"""What systemd does not check: that units, scripts, settings and the guide fit together."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cluster.deploy.errors import Exit
from tests.unit.cluster.systemd.units import SYSTEMD, Unit, arguments, variables

VENV = "/opt/lesionserve/.venv/bin/"
SCRIPTS = "/opt/lesionserve/cluster/systemd/"
INSTALLED = {"uvicorn", "python", "ray", "lesionserve"}
OF_DEBIAN = {"/usr/bin/find", "/usr/bin/rm", "/bin/sh", "/bin/echo"}
ENVIRONMENT_FILES = {
    "/etc/lesionserve/gateway.env",
    "/etc/lesionserve/serve.env",
    "/etc/lesionserve/units.env",
}
# A unit may add to these settings of the shared drop-in, and change no other.
ADDITIVE = {"Service.RestrictAddressFamilies"}
SECRET = re.compile("TOKEN|KEY|PASSWORD|SECRET|DATABASE_URL")
FAILED = "lesionserve-failed@.service"
MAX_SOCKET_PATH = 107
RAY_SOCKET = "/session_2026-11-26_08-19-02_123456_1234567/sockets/plasma_store"


@dataclass(frozen=True)
class Files:
    """All that has to fit together: the units, and the text of the other files."""

    units: Mapping[str, Unit]
    hardening: str
    sysusers: str
    sizes: str  # units.env
    guide: str  # docs/deploy/systemd.md
    nginx: str  # gateway.conf

    @property
    def services(self) -> dict[str, Unit]:
        return {name: unit for name, unit in self.units.items() if name.endswith(".service")}


def faults(files: Files) -> Iterator[str]:
    """Yield a line for each thing that does not fit."""
    for unit in files.services.values():
        for check in (_commands, _user, _environment, _folders, _failure, _hardening):
            yield from (f"{unit.name}: {fault}" for fault in check(unit, files))
    for check_all in (_timers, _sizes, _gateway, _ray, _deploy):
        yield from check_all(files)


def _commands(unit: Unit, files: Files) -> Iterator[str]:
    for command in unit.commands:
        program = command.split()[0]
        name = program.rpartition("/")[2]
        if program.startswith(VENV):
            if name not in INSTALLED:
                yield f"{program} is not installed"
        elif program.startswith(SCRIPTS):
            script = SYSTEMD / name
            if not script.is_file() or not script.stat().st_mode & 0o111:
                yield f"{program} is no program of the repository"
        elif program not in OF_DEBIAN:
            yield f"{program} is not known"


def _user(unit: Unit, files: Files) -> Iterator[str]:
    user = unit.last("Service.User")
    if not user or not re.search(rf"^u {re.escape(user)} ", files.sysusers, re.M):
        yield f"the user {user or 'root'} is not in sysusers.d"


def _environment(unit: Unit, files: Files) -> Iterator[str]:
    named = {path.lstrip("-") for path in unit.all("Service.EnvironmentFile")}
    yield from (f"{path} is not known" for path in named - ENVIRONMENT_FILES)
    yield from (f"{path} is not in the guide" for path in named if path not in files.guide)
    yield from (f"{name} is a secret" for name in unit.environment if SECRET.search(name))
    known = set(unit.environment)
    if "/etc/lesionserve/units.env" in named:
        known |= variables(files.sizes).keys()
    used = set(re.findall(r"\$\{(\w+)\}", " ".join(unit.commands)))
    yield from (f"{name} has no value" for name in sorted(used - known))


def _folders(unit: Unit, files: Files) -> Iterator[str]:
    values = [*unit.commands, *unit.environment.values(), unit.last("Service.WorkingDirectory")]
    for kind, key in (("%S", "StateDirectory"), ("%t", "RuntimeDirectory")):
        made = unit.words(f"Service.{key}")
        for path in re.findall(rf"{kind}/([\w/-]+)", " ".join(values)):
            if path not in made:
                yield f"{kind}/{path} is not made by {key}="
        if made and unit.last(f"Service.{key}Mode") != "0700":
            yield f"{key}= is open to others"


def _failure(unit: Unit, files: Files) -> Iterator[str]:
    if unit.name != FAILED and unit.last("Unit.OnFailure") != "lesionserve-failed@%n.service":
        yield "nobody sees that it failed"
    if unit.name == FAILED and unit.last("Service.SyslogLevel") != "err":
        yield "it does not log an error"
    if unit.last("Service.Type") == "exec" and not unit.last("Service.MemoryMax"):
        yield "its memory has no bound"


def _hardening(unit: Unit, files: Files) -> Iterator[str]:
    shared = Unit("shared")
    shared.add(files.hardening)
    if shared.last("Service.LimitCORE") != "0":
        yield "a core dump would hold images"
    if not unit.name.startswith("lesionserve-"):
        yield "the shared drop-in is not for this name"
    for key, values in shared.settings.items():
        if key not in ADDITIVE and unit.all(key) != values:
            yield f"{key} is not as all units have it"


def _timers(files: Files) -> Iterator[str]:
    timers = {name.removesuffix(".timer") for name in files.units if name.endswith(".timer")}
    periodic = {
        name.removesuffix(".service")
        for name, unit in files.services.items()
        if unit.last("Service.Type") == "oneshot" and not unit.last("Service.RemainAfterExit")
    } - {FAILED.removesuffix(".service")}
    yield from (f"{name}: a timer without a service, or the reverse" for name in timers ^ periodic)
    for name in timers:
        timer = files.units[f"{name}.timer"]
        if timer.last("Timer.Persistent") != "yes":
            yield f"{name}.timer: a day on which the machine is off is left out"
        if timer.last("Install.WantedBy") != "timers.target":
            yield f"{name}.timer: enabling it does nothing"
        if f"{name}.timer" not in files.guide:
            yield f"{name}.timer is not in the guide"


def _sizes(files: Files) -> Iterator[str]:
    commands = " ".join(command for unit in files.services.values() for command in unit.commands)
    for name in variables(files.sizes):
        if f"${{{name}}}" not in commands:
            yield f"units.env: no unit uses {name}"


def _gateway(files: Files) -> Iterator[str]:
    unit = files.units["lesionserve-gateway.service"]
    command = unit.last("Service.ExecStart").split()
    match = re.search(r"uvicorn gateway\.asgi:application((?:\\\n|[^\n])*)", files.guide)
    assert match is not None, "the guide starts uvicorn"
    by_hand = match[1].replace("\\\n", " ").split()
    own = ("--host", "127.0.0.1", "--port", "8080")  # the socket's
    for word in by_hand:
        if word not in command and word not in own:
            yield f"lesionserve-gateway.service: the guide has {word}"
    listens = files.units["lesionserve-gateway.socket"].last("Socket.ListenStream")
    if f"http://{listens}/healthz" not in unit.last("Service.ExecStartPost"):
        yield "lesionserve-gateway.service: it waits for another address than the socket's"
    if f"server {listens};" not in files.nginx:
        yield "lesionserve-gateway.socket: nginx asks another address"
    if "lesionserve-gateway.socket" not in unit.words("Unit.Requires"):
        yield "lesionserve-gateway.service: it does not need its socket"
    graceful = int(command[command.index("--timeout-graceful-shutdown") + 1])
    if graceful >= int(unit.last("Service.TimeoutStopSec").removesuffix("s")):
        yield "lesionserve-gateway.service: requests in flight are killed at its end"
    if unit.last("Service.KillMode") != "mixed":
        yield "lesionserve-gateway.service: its workers are stopped behind its back"
    metrics = unit.environment.get("PROMETHEUS_MULTIPROC_DIR", "")
    if not metrics.startswith("%t/"):
        yield "lesionserve-gateway.service: metrics of former processes stay"


def _ray(files: Files) -> Iterator[str]:
    head, worker = (files.units[f"lesionserve-ray-{role}.service"] for role in ("head", "worker"))
    for unit in (head, worker):
        options = unit.last("Service.ExecStart")
        for option in ("--block", "--metrics-export-port=8090"):
            if option not in options.split():
                yield f"{unit.name}: {option} is missing"
        if not {
            "--object-spilling-directory=%t/lesionserve-serve",
            "--plasma-directory=/dev/shm",
        } <= {*options.split()}:
            yield f"{unit.name}: images would be written to a disk"
        folders = [
            word.partition("=")[2]
            for word in arguments(options, {"LESIONSERVE_RAY_HEAD": "h:1"})
            if word.startswith("--temp-dir=")
        ]
        for folder in folders or ["/" * MAX_SOCKET_PATH]:
            if len(folder + RAY_SOCKET) > MAX_SOCKET_PATH:
                yield f"{unit.name}: the paths of Ray's sockets would be too long"
        if "/dev" in " ".join(unit.all("Service.DeviceAllow")) or (
            unit.last("Service.DevicePolicy") != "closed"
        ):
            yield f"{unit.name}: it may use other devices than GPUs"
        if not any("nvidia" in rule for rule in unit.all("Service.DeviceAllow")):
            yield f"{unit.name}: it may not use a GPU"
    port = re.search(r"--port=(\d+)", head.last("Service.ExecStart"))
    if port is None or not variables(files.sizes)["LESIONSERVE_RAY_HEAD"].endswith(f":{port[1]}"):
        yield "lesionserve-ray-worker.service: the head listens on another port"


def _deploy(files: Files) -> Iterator[str]:
    unit = files.units["lesionserve-deploy.service"]
    head = "lesionserve-ray-head.service"
    for key in ("Unit.Requires", "Unit.PartOf", "Unit.After", "Install.WantedBy"):
        if head not in unit.words(key):
            yield f"{unit.name}: {key} does not name the head"
    final = {str(int(code)) for code in Exit if code not in (Exit.SERVES, Exit.REFUSED)} | {"130"}
    if set(unit.words("Service.RestartPreventExitStatus")) != final:
        yield f"{unit.name}: it deploys again after a failure that a second try does not mend"
