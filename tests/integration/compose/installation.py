"""A Compose project in podman: the same containers, networks, volumes and limits, read from what
`docker compose config` prints.

There is no Docker where tests run, and podman's health checks need systemd; so each check is run
here, as the engine would run it.
"""

import subprocess
import time
from collections.abc import Iterator
from graphlib import TopologicalSorter
from typing import Any

from tests.integration.compose.counterparts import ENTRYPOINTS, counterpart
from tests.integration.images.engine import BOUNDS, PODMAN, podman
from tests.unit.cluster.compose.project import Project

PREFIX = "lesionserve-test"
LABEL = "lesionserve.test=compose"
_POLL_S = 1.0


class Installation:
    """The networks, volumes and containers of a project, which `remove` removes."""

    def __init__(self, project: Project) -> None:
        self.project = project
        # Those that there are images for.
        self.services: dict[str, Any] = {
            name: service
            for name, service in project["services"].items()
            if _image(service) is not None and not service.get("profiles")
        }

    def start(self, healthy_within_s: float = 300) -> None:
        """Start each service once those that it waits for are healthy, or have ended well."""
        for name, network in self.project["networks"].items():
            options = ["--internal"] if network.get("internal") else []
            for config in (network.get("ipam") or {}).get("config") or []:
                options += ["--subnet", config["subnet"]]
            podman("network", "create", "--label", LABEL, *options, f"{PREFIX}_{name}")
        for name in self.project["volumes"]:
            podman("volume", "create", "--label", LABEL, f"{PREFIX}_{name}")
        waits = {
            name: [other for other in service.get("depends_on", {}) if other in self.services]
            for name, service in self.services.items()
        }
        for name in TopologicalSorter(waits).static_order():
            for other, how in self.services[name].get("depends_on", {}).items():
                self._wait(other, how["condition"], healthy_within_s)
            podman("run", "--detach", *self.options(name))

    def options(self, name: str) -> list[str]:
        """Return the options, image and command with which podman runs the service."""
        service = self.project["services"][name]
        limits = service["deploy"]["resources"]["limits"]
        options = ["--name", self.container(name), "--label", LABEL, "--no-healthcheck"]
        options += ["--cap-drop", "all", "--security-opt", "no-new-privileges"]
        options += ["--read-only", "--read-only-tmpfs=false"]
        options += ["--cpus", str(limits["cpus"]), "--memory", limits["memory"]]
        options += ["--pids-limit", str(limits["pids"]), "--restart", service["restart"]]
        if "memswap_limit" in service:
            options += ["--memory-swap", service["memswap_limit"]]
        options += BOUNDS
        for key, option in (("user", "--user"), ("shm_size", "--shm-size")):
            if key in service:
                options += [option, str(service[key])]
        if "stop_signal" in service:
            options += ["--stop-signal", service["stop_signal"]]
        if service.get("init"):
            options += ["--init"]
        options += self._network_options(name)
        for variable, value in (service.get("environment") or {}).items():
            options += ["--env", f"{variable}={value}"]
        for mount in service.get("tmpfs", []):
            # Empty, as Docker makes it: podman would copy what the image has there.
            options += ["--tmpfs", f"{mount},notmpcopyup"]
        options += self._mount_options(service)
        for port in service.get("ports", []):
            address = f"{port['host_ip']}:{port['published']}:{port['target']}"
            options += ["--publish", address]
        command = service.get("command") or []
        entrypoint = ENTRYPOINTS.get(name) or service.get("entrypoint")
        if entrypoint:
            options += ["--entrypoint", entrypoint[0]]
            command = [*entrypoint[1:], *command]
        image = _image(service)
        assert image is not None
        return [*options, image, *command]

    def _network_options(self, name: str) -> Iterator[str]:
        for network, settings in self.project["services"][name]["networks"].items():
            aliases = [name, *((settings or {}).get("aliases") or [])]
            joined = ",".join(f"alias={alias}" for alias in aliases)
            yield from ("--network", f"{PREFIX}_{network}:{joined}")

    def _mount_options(self, service: Any) -> Iterator[str]:
        for secret in service.get("secrets", []):
            file = self.project["secrets"][secret["source"]]["file"]
            yield from ("--volume", f"{file}:/run/secrets/{secret['source']}:ro")
        for mount in service.get("volumes", []):
            if mount["type"] == "bind":
                options = ":ro" if mount.get("read_only") else ""
                yield from ("--volume", f"{mount['source']}:{mount['target']}{options}")
            else:
                yield from ("--volume", f"{PREFIX}_{mount['source']}:{mount['target']}")

    def container(self, service: str) -> str:
        return f"{PREFIX}_{service}"

    def wait_for_all(self, within_s: float) -> None:
        """Wait until each health check succeeds."""
        for name, service in self.services.items():
            if not service["healthcheck"].get("disable"):
                self._wait(name, "service_healthy", within_s)

    def is_healthy(self, name: str) -> bool:
        kind, *command = self.services[name]["healthcheck"]["test"]
        if kind == "CMD-SHELL":
            command = ["/bin/sh", "-c", *command]
        return self.attempt(name, *command).returncode == 0

    def execute(self, name: str, *command: str) -> str:
        """Run a command in a container; return its output. It must succeed."""
        return podman("exec", self.container(name), *command)

    def attempt(self, name: str, *command: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*PODMAN, "exec", self.container(name), *command], capture_output=True, text=True
        )

    def manage(self, *command: str) -> str:
        return self.execute("gateway", "python", "-m", "gateway.manage", *command)

    def logs(self, name: str) -> str:
        done = subprocess.run(
            [*PODMAN, "logs", "--tail", "60", self.container(name)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return done.stdout

    def address(self, name: str, network: str) -> str:
        """Return the container's address in a network."""
        template = f'{{{{(index .NetworkSettings.Networks "{PREFIX}_{network}").IPAddress}}}}'
        return podman("inspect", "--format", template, self.container(name))

    def _wait(self, name: str, condition: str, within_s: float) -> None:
        if condition == "service_completed_successfully":
            status = podman("wait", self.container(name))
            assert status == "0", f"{name} ended with {status}: {self.logs(name)}"
            return
        until = time.monotonic() + within_s
        while not self.is_healthy(name):
            assert time.monotonic() < until, f"{name} is not healthy: {self.logs(name)}"
            time.sleep(_POLL_S)


def remove() -> None:
    """Remove whatever an installation of this or an earlier run has made."""
    label = f"label={LABEL}"
    for name in podman("ps", "--all", "--quiet", "--filter", label).split():
        podman("rm", "--force", "--volumes", "--time", "20", name)
    for kind in ("volume", "network"):
        for name in podman(kind, "ls", "--quiet", "--filter", label).split():
            podman(kind, "rm", "--force", name)


def _image(service: Any) -> str | None:
    image: str = service["image"]
    return f"localhost/{image}" if image.startswith("lesionserve-") else counterpart(image)
