"""What the gateway needs of its pods: settings, command lines, files and times."""

import shlex
from collections.abc import Iterator
from importlib.metadata import version
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

import click
import yaml
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, get_commands, load_command_class
from uvicorn.main import main as uvicorn

from cluster.monitoring.grafana.__main__ import FOLDER as DASHBOARDS
from gateway.environment import SECRETS, Environment
from pipeline.secret_files import SUFFIX
from serve_app.tokens import VARIABLE
from tests.integration.kubernetes.manifests import Manifest, Manifests, Pod
from tests.integration.kubernetes.pod_rules import quantity

GATEWAY = "Deployment/lesionserve-gateway"
_OURS = ("lesionserve-gateway", "lesionserve-serve-cpu", "lesionserve-serve-gpu")
_NOT_SETTINGS = {"HOME", "POD_IP", "FORWARDED_ALLOW_IPS", "LESIONSERVE_PYTHON"}
_VALUES = {
    "LESIONSERVE_SECRET_KEY": "s" * 64,
    "LESIONSERVE_AUDIT_KEY": "a" * 64,
    "LESIONSERVE_SERVICE_TOKEN": "t" * 64,
    "DATABASE_URL": "postgresql://lesionserve:secret@lesionserve-postgresql/lesionserve",
    "LESIONSERVE_REDIS_URL": "redis://:secret@lesionserve-redis:6379/1",
    "LESIONSERVE_PROBE_KEY": f"ls_{'0' * 12}_{'0' * 64}_{'0' * 8}",
    "LESIONSERVE_ALERTS_TOKEN": "t" * 64,
}
_GATEWAY_PODS = ("Deployment/", "Job/", "CronJob/")
_GIBIBYTE = 1 << 30


def check_settings(manifests: Manifests) -> Iterator[str]:
    """Find settings that the gateway does not know or refuses, and files that are not mounted."""
    known = {field.alias for field in Environment.model_fields.values()}
    known |= _NOT_SETTINGS | {f"{name}{SUFFIX}" for name in SECRETS}
    for pod in manifests.pods():
        if not pod.owner.startswith((*_GATEWAY_PODS, "Pod/lesionserve-gateway")):
            continue
        for container in pod.containers:
            values = _values(manifests, container)
            for name in values.keys() - known:
                yield f"{pod.owner}: the gateway reads no {name}"
            yield from _file_problems(pod, container, values)
            plain = {
                name: value for name, value in values.items() if value.startswith("/") is False
            }
            plain |= {name: _VALUES[name] for name in SECRETS if f"{name}{SUFFIX}" in values}
            plain.pop("LESIONSERVE_CERTIFICATES", None)  # files, which are checked above
            try:
                Environment.read(plain)
            except ImproperlyConfigured as error:
                yield f"{pod.owner}, {container['name']}: {error}"


def _values(manifests: Manifests, container: Manifest) -> dict[str, str]:
    values: dict[str, str] = {}
    if container.get("envFrom"):
        values |= manifests.settings
    for variable in container.get("env", ()):
        value = variable.get("value", "10.0.0.1" if variable["name"] == "POD_IP" else "365")
        values[variable["name"]] = value.replace("$(POD_IP)", "10.0.0.1")
    return values


def _file_problems(pod: Pod, container: Manifest, values: dict[str, str]) -> Iterator[str]:
    pairs = values.get("LESIONSERVE_CERTIFICATES", "").split(",")
    paths = [pair.partition("=")[2] for pair in pairs if pair]
    paths += [value for name, value in values.items() if name.endswith(SUFFIX)]
    paths += [values[name] for name in ("LESIONSERVE_UPSTREAM_CA",) if name in values]
    files = set(_mounted_files(pod, container))
    for path in paths:
        if path not in files:
            yield f"{pod.owner}, {container['name']}: {path} is not mounted"


def _mounted_files(pod: Pod, container: Manifest) -> Iterator[str]:
    for mount in container.get("volumeMounts", ()):
        secret = pod.volumes.get(mount["name"], {}).get("secret", {})
        names = [item["path"] for item in secret.get("items", ())] or ["tls.crt", "tls.key"]
        yield from (f"{mount['mountPath']}/{name}" for name in names if secret)


def check_service_tokens(manifests: Manifests) -> Iterator[str]:
    """Find workers without the file of the service tokens, and a head that has it."""
    for pod in manifests.pods():
        if not pod.owner.startswith("Ray/"):
            continue
        container = pod.spec["containers"][0]
        values = {one["name"]: one.get("value") for one in container.get("env", ())}
        path = values.get(f"{VARIABLE}{SUFFIX}")
        is_worker = pod.labels["ray.io/node-type"] == "worker"
        if is_worker and path not in set(_mounted_files(pod, container)):
            yield f"{pod.owner}: its replicas find no service tokens"
        if not is_worker and path is not None:
            yield f"{pod.owner}: it has service tokens and needs none"


def check_commands(manifests: Manifests) -> Iterator[str]:
    """Find command lines that their programs would refuse."""
    for pod in manifests.pods():
        if not pod.owner.startswith(_GATEWAY_PODS):
            continue
        for container in pod.containers:
            words = container["command"]
            if words[0] == "uvicorn":
                yield from _uvicorn_problems(manifests, pod, words[1:])
            text = words[-1] if words[:2] == ["/bin/sh", "-c"] else shlex.join(words)
            for line in text.splitlines():
                _, found, rest = line.partition("python -m gateway.manage ")
                if found:
                    yield from _manage_problems(pod, shlex.split(rest.rstrip("; do")))


def _uvicorn_problems(manifests: Manifests, pod: Pod, line: list[str]) -> Iterator[str]:
    try:
        options = uvicorn.make_context("uvicorn", list(line)).params
    except click.ClickException as error:
        yield f"{pod.owner}: uvicorn: {error.message}"
        return
    container = pod.spec["containers"][0]
    settings = Environment.read(
        {k: v for k, v in manifests.settings.items() if not v.startswith("/") and "=/" not in v}
        | {name: _VALUES[name] for name in SECRETS[:3]}
    )
    if options["port"] != pod.ports["https"]:
        yield f"{pod.owner}: uvicorn's port is not the container's"
    if options["http"] != "gateway.protocol:GatewayProtocol":
        yield f"{pod.owner}: without the gateway's protocol"
    if options["ssl_certfile"] is None or options["ssl_keyfile"] is None:
        yield f"{pod.owner}: plain HTTP inside the cluster"
    graceful = options["timeout_graceful_shutdown"] or 0
    if graceful <= settings.deadline_s:
        yield f"{pod.owner}: requests in flight may not finish"
    stop = container["lifecycle"]["preStop"]["sleep"]["seconds"] + graceful
    if pod.spec["terminationGracePeriodSeconds"] < stop + 10:
        yield f"{pod.owner}: it is killed before requests in flight have finished"
    images = settings.max_in_flight * settings.max_image_bytes
    if quantity(container["resources"]["limits"]["memory"]) < images + _GIBIBYTE:
        yield f"{pod.owner}: its images do not fit into its memory"
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        request = container[probe]["httpGet"]
        if (request["path"], request.get("scheme")) != ("/healthz", "HTTPS"):
            yield f"{pod.owner}: {probe} is not HTTPS /healthz"


def _manage_problems(pod: Pod, words: list[str]) -> Iterator[str]:
    name, *arguments = words
    if name not in get_commands():
        yield f"{pod.owner}: no command {name}"
        return
    parser = load_command_class(get_commands()[name], name).create_parser("manage", name)
    parser.called_from_command_line = False  # raise, and do not exit
    try:
        parser.parse_args(arguments)
    except CommandError as error:
        yield f"{pod.owner}: {name}: {error}"


def check_upstream(manifests: Manifests) -> Iterator[str]:
    """Find an upstream that is no Service of KubeRay, or that its certificate does not name."""
    url = urlsplit(manifests.settings["LESIONSERVE_UPSTREAM_URL"])
    name = manifests.ray_service["metadata"]["name"]
    strategy = manifests.ray_service["spec"].get("upgradeStrategy", {}).get("type")
    if strategy == "NewClusterWithIncrementalUpgrade":
        if (url.scheme, url.hostname, url.port) != ("http", f"{name}-gateway-istio", 80):
            yield "the gateway does not ask KubeRay's Gateway"
        return
    if (url.scheme, url.hostname, url.port) != ("https", f"{name}-serve-svc", 8000):
        yield "the gateway does not ask the Service of KubeRay over HTTPS"
    for certificate in manifests.of_kind("Certificate"):
        spec: dict[str, Any] = certificate["spec"]
        names = spec.get("dnsNames", ())
        if spec["secretName"] == "lesionserve-inference-tls" and url.hostname not in names:
            yield f"the certificate of the inference half does not name {url.hostname}"


def check_forwarding(manifests: Manifests) -> Iterator[str]:
    """Find a gateway that would believe what anybody says about the client."""
    for text in manifests.settings.get("FORWARDED_ALLOW_IPS", "*").split(","):
        if text == "*" or ip_network(text, strict=False).prefixlen < 12:
            yield f"FORWARDED_ALLOW_IPS believes {text}"
    for pod in manifests.pods():
        if pod.owner == GATEWAY:
            values = _values(manifests, pod.spec["containers"][0])
            if values.get("LESIONSERVE_METRICS_HOSTS") != "10.0.0.1":
                yield "/metrics answers under other names than the pod's address"
            if values.get("LESIONSERVE_HTTPS_ONLY") != "true":
                yield "the gateway accepts plain HTTP"


def check_versions(manifests: Manifests) -> Iterator[str]:
    """Find images of ours with another tag than the project's version, and images without one."""
    ours = version("lesionserve")
    for pod in manifests.pods():
        for container in pod.containers:
            path, _, tag = container["image"].rpartition(":")
            name = path.rpartition("/")[2]
            if name in _OURS and tag != ours:
                yield f"{pod.owner}: {container['image']} is not of version {ours}"
            if not path or tag == "latest":
                yield f"{pod.owner}: {container['image']} has no fixed version"
            if name.startswith("lesionserve") and name not in _OURS:
                yield f"{pod.owner}: {name} is no image of ours"
    wanted = f"lesionserve-migrate-{ours.replace('.', '-')}"
    if [job["metadata"]["name"] for job in manifests.of_kind("Job")] != [wanted]:
        yield f"the Job that migrates is not {wanted}"


def check_monitoring(manifests: Manifests) -> Iterator[str]:
    """Find monitors that the rules would not see, and dashboards that are not the written ones."""
    monitors = manifests.of_kind("PodMonitor")
    if not monitors:
        return
    for monitor in monitors:
        for endpoint in monitor["spec"]["podMetricsEndpoints"]:
            jobs = [one for one in endpoint.get("relabelings", ()) if one["targetLabel"] == "job"]
            if [one["replacement"] for one in jobs] != [monitor["metadata"]["name"]]:
                yield f"{monitor['metadata']['name']}: the rules look for a job of this name"
    shown = {
        name: text
        for config in manifests.of_kind("ConfigMap")
        if config["metadata"].get("labels", {}).get("grafana_dashboard")
        for name, text in config["data"].items()
    }
    if shown != {path.name: path.read_text() for path in DASHBOARDS.iterdir()}:
        yield "the dashboards are not those of cluster/monitoring/grafana"
    (rule,) = manifests.of_kind("PrometheusRule")
    groups = [
        group
        for path in sorted((DASHBOARDS.parent.parent / "rules").glob("*.yml"))
        for group in yaml.safe_load(path.read_text())["groups"]
    ]
    if rule["spec"]["groups"] != groups:
        yield "the PrometheusRule is not what cluster/monitoring/rules has"
