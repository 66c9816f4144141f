"""What Compose does not check: that services are apart, bounded and without secrets in the open."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gateway.environment import SECRETS, Environment
from tests.unit.cluster.compose.project import Project

# The services that speak with each other, in each network. No other two share one.
NETWORKS = {
    "edge": {"nginx"},
    "front": {"nginx", "gateway"},
    "data": {"gateway", "migrate", "backup", "postgres", "redis"},
    "upstream": {"gateway", "ingress"},
    "serving": {"ingress", "serve"},
    "gateway-metrics": {"gateway", "prometheus"},
    "serving-metrics": {"serve", "prometheus"},
    "alerts": {"nginx", "alertmanager"},
    "monitoring": {"prometheus", "alertmanager", "grafana"},
}
# Networks with a way out: for clients, and for operators and the receivers of alerts.
OPEN = {"edge", "monitoring"}
ONE_SHOT = {"migrate", "backup"}
# With images in their memory.
OF_IMAGES = {"nginx", "gateway", "ingress", "serve"}
OWN_USER = re.compile("lesionserve-(gateway|serve-cpu|serve-gpu):")
IMAGE = re.compile(r"(?P<name>[a-z0-9-]+(/[a-z0-9-]+)?):v?\d+\.\d+(\.\d+)?(-[a-z]+)?")
SECRET = re.compile("TOKEN|KEY|PASSWORD|SECRET|DATABASE_URL|REDIS_URL")
BY_FILE = re.compile("_FILE$|_PATH$")
# What the gateway's process reads beside its own settings.
OF_THE_SERVER = {"WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS", "PROMETHEUS_MULTIPROC_DIR"}
OF_SERVE = {
    "LESIONSERVE_PROFILE",
    "LESIONSERVE_BUNDLE",
    "LESIONSERVE_SERVICE_TOKENS_FILE",
    "RAY_AUTH_TOKEN_PATH",
}


def faults(project: Project, folder: Path) -> Iterator[str]:
    """Yield a line for each thing that does not fit."""
    for name, service in project["services"].items():
        for check in (_image, _rights, _limits, _health, _logs, _ports, _waiting):
            yield from (f"{name}: {fault}" for fault in check(name, service, project))
        for check_files in (_secrets, _mounts):
            yield from (f"{name}: {fault}" for fault in check_files(name, service, folder))
    for check_all in (_networks, _declared_secrets, _gateway, _serve):
        yield from check_all(project)


def _image(name: str, service: Any, project: Project) -> Iterator[str]:
    if not IMAGE.fullmatch(service["image"]):
        yield f"{service['image']} has no exact version, or names a registry"
    if "build" in service:
        yield "it is built where it runs"


def _rights(name: str, service: Any, project: Project) -> Iterator[str]:
    if not service.get("read_only"):
        yield "its file system can be written"
    if service.get("cap_drop") != ["ALL"] or service.get("cap_add"):
        yield "it has capabilities"
    if service.get("security_opt") != ["no-new-privileges:true"]:
        yield "it can gain privileges"
    # Compose leaves out numbers that are 0.
    if service.get("ulimits", {}).get("core") not in ({}, {"soft": 0, "hard": 0}):
        yield "a core dump would hold images"
    user = str(service.get("user", ""))
    if not OWN_USER.match(service["image"]) and (not user or re.match("0|root", user)):
        yield "it runs as root, or as the image decides"
    for key in ("privileged", "pid", "ipc", "network_mode", "devices", "userns_mode"):
        if service.get(key):
            yield f"{key} joins it with the host"


def _limits(name: str, service: Any, project: Project) -> Iterator[str]:
    limits = service.get("deploy", {}).get("resources", {}).get("limits", {})
    yield from (f"{key} has no limit" for key in ("cpus", "memory", "pids") if not limits.get(key))
    if name in OF_IMAGES and service.get("memswap_limit") != limits.get("memory"):
        yield "images may reach a swap device"


def _health(name: str, service: Any, project: Project) -> Iterator[str]:
    check = service.get("healthcheck", {})
    if name in ONE_SHOT:
        if not check.get("disable"):
            yield "it ends, and has no health"
        return
    if service.get("restart") != "unless-stopped":
        yield "it is not started again after a reboot"
    if not check.get("test") or check.get("disable"):
        yield "it has no health check"
    elif not {"interval", "timeout", "retries", "start_period"} <= check.keys():
        yield "its health check has no bounds"


def _logs(name: str, service: Any, project: Project) -> Iterator[str]:
    options = service.get("logging", {}).get("options", {})
    if not {"max-size", "max-file"} <= options.keys():
        yield "its log fills the disk"


def _ports(name: str, service: Any, project: Project) -> Iterator[str]:
    for port in service.get("ports", []):
        address = port.get("host_ip", "")
        if name == "nginx" and int(port["target"]) in (9443, 9080):
            if ":" in address or not address:
                yield "clients of IPv6 would have the address of the engine"
        elif address != "127.0.0.1":
            yield f"port {port['target']} is open to others"


def _waiting(name: str, service: Any, project: Project) -> Iterator[str]:
    for other, how in service.get("depends_on", {}).items():
        check = project["services"][other].get("healthcheck", {})
        if how["condition"] == "service_completed_successfully":
            if other not in ONE_SHOT:
                yield f"{other} does not end"
        elif how["condition"] != "service_healthy" or check.get("disable"):
            yield f"it does not wait until {other} is healthy"


def _secrets(name: str, service: Any, folder: Path) -> Iterator[str]:
    mounted = {
        secret.get("target") or f"/run/secrets/{secret['source']}"
        for secret in service.get("secrets", [])
    }
    named = set()
    for variable, value in (service.get("environment") or {}).items():
        if SECRET.search(variable):
            if not BY_FILE.search(variable):
                yield f"{variable} is in the environment"
            elif value not in mounted:
                yield f"{variable}: {value} is not mounted"
            named.add(value)
        elif re.search(r"://[^/@]*:[^/@]*@", value or ""):
            yield f"{variable} holds a password"
    texts = [str(part) for part in (service.get("command") or [])]
    texts += [path.read_text() for path in _configurations(service)]
    for path in mounted - named:
        if path not in "\n".join(texts) and path not in str(service.get("environment")):
            yield f"{path} is used by nothing"


def _configurations(service: Any) -> Iterator[Path]:
    for mount in service.get("volumes", []):
        path = Path(mount.get("source") or "")
        if mount["type"] == "bind":
            yield from [path] if path.is_file() else sorted(path.rglob("*.yml"))


def _mounts(name: str, service: Any, folder: Path) -> Iterator[str]:
    if name not in ("redis", "prometheus", "alertmanager") and not any(
        path.startswith("/tmp:") for path in service.get("tmpfs", [])
    ):
        yield "nothing can be written below /tmp"
    for mount in service.get("tmpfs", []):
        if not {"noexec", "nosuid", "nodev"} <= set(mount.partition(":")[2].split(",")):
            yield f"{mount}: files in it can be run"
        if "size=" not in mount:
            yield f"{mount} may take all memory"
    for mount in service.get("volumes", []):
        source, target = str(mount.get("source", "")), mount["target"]
        if "docker.sock" in source:
            yield "it controls the engine"
        if mount["type"] != "bind":
            continue
        if not mount.get("read_only") and target != "/backups":
            yield f"{target} can be written"
        if not Path(source).exists():
            yield f"{source} is not made"
        elif not Path(source).is_relative_to(folder):
            yield f"{source} is not in the folder"


def _networks(project: Project) -> Iterator[str]:
    members: dict[str, set[str]] = {network: set() for network in NETWORKS}
    for name, service in project["services"].items():
        for network in service.get("networks", {}):
            members.setdefault(network, set()).add(name)
    for network, services in members.items():
        if services != NETWORKS.get(network):
            yield f"the network {network} joins {', '.join(sorted(services)) or 'nothing'}"
    for network, settings in project["networks"].items():
        if bool(settings.get("internal")) == (network in OPEN):
            yield f"the network {network} has a way out, or needs one"


def _declared_secrets(project: Project) -> Iterator[str]:
    used = {s["source"] for v in project["services"].values() for s in v.get("secrets", [])}
    yield from (
        f"the secret {name} is used by nothing" for name in project["secrets"].keys() - used
    )
    for name, secret in project["secrets"].items():
        path = Path(secret.get("file", ""))
        if not path.is_file():
            yield f"the secret {name} is not made"
        elif path.stat().st_mode & 0o777 != 0o444 or path.parent.stat().st_mode & 0o077:
            yield f"the secret {name} can be read by others, or by no container"


def _gateway(project: Project) -> Iterator[str]:
    known = {field.alias for field in Environment.model_fields.values()} - set(SECRETS)
    known |= {f"{name}_FILE" for name in SECRETS} | OF_THE_SERVER
    services = project["services"]
    for name in ("gateway", "migrate", "backup"):
        yield from (
            f"{name}: {variable} is no setting"
            for variable in services[name]["environment"].keys() - known
        )
    environment = services["gateway"]["environment"]
    if environment["LESIONSERVE_UPSTREAM_URL"] != "https://ingress:8443":
        yield "gateway: the way to the ingress is not HTTPS"
    subnet = project["networks"]["front"]["ipam"]["config"][0]["subnet"]
    if environment["FORWARDED_ALLOW_IPS"] != subnet:
        yield "gateway: it believes others than nginx who the client is"
    aliases = services["nginx"]["networks"]["front"]["aliases"]
    if aliases != [environment["LESIONSERVE_ALLOWED_HOSTS"]]:
        yield "gateway: its probes do not reach nginx by the name of the host"
    if not re.fullmatch(r"45s", services["gateway"].get("stop_grace_period", "")):
        yield "gateway: requests in flight are not finished"


def _serve(project: Project) -> Iterator[str]:
    serve = project["services"]["serve"]
    yield from (f"serve: {v} is unknown" for v in serve["environment"].keys() - OF_SERVE)
    if not serve.get("init"):
        yield "serve: nobody ends the children of processes that ended"
    if int(serve.get("shm_size", 0)) < 100 << 20:
        yield "serve: Ray's object store has no room"
