"""Everything that one object names in another has to be there."""

from collections.abc import Iterator, Mapping
from typing import Any

from tests.integration.kubernetes.manifests import NAMESPACE, Manifest, Manifests, Pod

# The Secrets that docs/deploy/kubernetes.md has an operator make, or cert-manager, and their keys.
_TLS = {"tls.crt", "tls.key", "ca.crt"}
SECRETS = {
    "lesionserve-gateway": {
        "LESIONSERVE_SECRET_KEY",
        "LESIONSERVE_AUDIT_KEY",
        "LESIONSERVE_SERVICE_TOKEN",
        "DATABASE_URL",
        "LESIONSERVE_REDIS_URL",
    },
    "lesionserve-inference": {"LESIONSERVE_SERVICE_TOKENS"},
    "lesionserve-ray-token": {"auth_token"},
    "lesionserve-redis": {"password"},
    "lesionserve-postgresql": {"password"},
    "lesionserve-probe": {"key"},
    "lesionserve-alerts": {"token"},
    "lesionserve-edge-tls": {"tls.crt", "tls.key"},
    "lesionserve-gateway-tls": _TLS,
    "lesionserve-inference-tls": _TLS,
    "lesionserve-postgresql-tls": _TLS,
}
_CLUSTER_WIDE = ("Namespace", "PriorityClass")


def matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Return whether a label selector of Kubernetes selects an object with these labels."""
    if not selector.get("matchLabels", {}).items() <= labels.items():
        return False
    for expression in selector.get("matchExpressions", ()):
        value, operator = labels.get(expression["key"]), expression["operator"]
        values = expression.get("values", ())
        if not {
            "In": value in values,
            "NotIn": value not in values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }[operator]:
            return False
    return True


def check_namespaces(manifests: Manifests) -> Iterator[str]:
    """Find objects outside our namespace, and objects that two manifests make."""
    seen = set()
    for manifest in manifests.objects:
        metadata, kind = manifest["metadata"], manifest["kind"]
        wanted = None if kind in _CLUSTER_WIDE else NAMESPACE
        if metadata.get("namespace") != wanted:
            yield f"{kind} {metadata['name']}: in the namespace {metadata.get('namespace')}"
        if (kind, metadata["name"]) in seen:
            yield f"{kind} {metadata['name']}: there twice"
        seen.add((kind, metadata["name"]))


def check_volumes(manifests: Manifests) -> Iterator[str]:
    """Find mounts without a volume, and volumes of claims, maps and secrets that are not there."""
    claims = {one["metadata"]["name"] for one in manifests.of_kind("PersistentVolumeClaim")}
    for pod in manifests.pods():
        owned = _claim_templates(manifests, pod)
        for container in pod.containers:
            for mount in container.get("volumeMounts", ()):
                if mount["name"] not in pod.volumes.keys() | owned:
                    yield f"{pod.owner}: no volume {mount['name']}"
        for name, volume in pod.volumes.items():
            where = f"{pod.owner}, volume {name}"
            if (claim := volume.get("persistentVolumeClaim")) and claim["claimName"] not in claims:
                yield f"{where}: no claim {claim['claimName']}"
            if secret := volume.get("secret"):
                keys = [item["key"] for item in secret.get("items", ())]
                yield from _secret_problems(where, secret["secretName"], keys)
            if config := volume.get("configMap"):
                keys = [item["key"] for item in config.get("items", ())]
                yield from _config_problems(manifests, where, config["name"], keys)


def check_variables(manifests: Manifests) -> Iterator[str]:
    """Find variables from secrets and maps that are not there, and secrets in plain sight."""
    for pod in manifests.pods():
        for container in pod.containers:
            where = f"{pod.owner}, {container['name']}"
            for source in container.get("envFrom", ()):
                yield from _config_problems(manifests, where, source["configMapRef"]["name"], [])
            for variable in container.get("env", ()):
                yield from _variable_problems(manifests, where, variable)
    options = manifests.ray_cluster.get("gcsFaultToleranceOptions", {})
    yield from _variable_problems(
        manifests, "gcsFaultToleranceOptions", {"name": "PASSWORD"} | options["redisPassword"]
    )
    token = manifests.ray_cluster.get("authOptions", {}).get("secretName", "")
    yield from _secret_problems("authOptions", token, ["auth_token"])
    for manifest in manifests.of_kind("Secret"):
        yield f"Secret {manifest['metadata']['name']} is in the manifests"


def _variable_problems(manifests: Manifests, where: str, variable: Manifest) -> Iterator[str]:
    name, source = variable["name"], variable.get("valueFrom", {})
    if secret := source.get("secretKeyRef"):
        yield from _secret_problems(f"{where}, {name}", secret["name"], [secret["key"]])
    elif config := source.get("configMapKeyRef"):
        keys = [] if config.get("optional") else [config["key"]]
        yield from _config_problems(manifests, f"{where}, {name}", config["name"], keys)
    elif name.endswith(("_KEY", "_TOKEN", "_TOKENS", "PASSWORD", "DATABASE_URL", "REDIS_URL")):
        yield f"{where}: {name} is in plain sight"


def _secret_problems(where: str, name: str, keys: list[str]) -> Iterator[str]:
    if name not in SECRETS:
        yield f"{where}: the guide names no Secret {name!r}"
    else:
        for key in set(keys) - SECRETS[name]:
            yield f"{where}: the Secret {name} has no {key}"


def _config_problems(manifests: Manifests, where: str, name: str, keys: list[str]) -> Iterator[str]:
    data = {one["metadata"]["name"]: one.get("data", {}) for one in manifests.of_kind("ConfigMap")}
    if name not in data:
        yield f"{where}: no ConfigMap {name}"
    else:
        for key in keys:
            if key not in data[name]:
                yield f"{where}: the ConfigMap {name} has no {key}"


def _claim_templates(manifests: Manifests, pod: Pod) -> set[str]:
    kind, _, name = pod.owner.partition("/")
    if kind != "StatefulSet":
        return set()
    templates = manifests.named(kind, name)["spec"].get("volumeClaimTemplates", ())
    return {template["metadata"]["name"] for template in templates}


def check_selectors(manifests: Manifests) -> Iterator[str]:
    """Find selectors that select no pod, or not the pods of their own template."""
    pods = manifests.pods()
    for kind in ("Deployment", "StatefulSet"):
        for manifest in manifests.of_kind(kind):
            name = manifest["metadata"]["name"]
            if not matches(manifest["spec"]["selector"], manifests.pod(f"{kind}/{name}").labels):
                yield f"{kind} {name}: its selector does not select its own pods"
    for kind in ("PodDisruptionBudget", "PodMonitor"):
        for manifest in manifests.of_kind(kind):
            if not any(matches(manifest["spec"]["selector"], pod.labels) for pod in pods):
                yield f"{kind} {manifest['metadata']['name']}: selects no pod"
    for manifest in manifests.of_kind("Service"):
        selector = manifest["spec"].get("selector")
        if selector and not any(matches({"matchLabels": selector}, pod.labels) for pod in pods):
            yield f"Service {manifest['metadata']['name']}: selects no pod"
    for manifest in manifests.of_kind("HorizontalPodAutoscaler"):
        target = manifest["spec"]["scaleTargetRef"]
        if not any(
            one["metadata"]["name"] == target["name"] for one in manifests.of_kind(target["kind"])
        ):
            yield f"HorizontalPodAutoscaler: no {target['kind']} {target['name']}"


def check_disruption_budgets(manifests: Manifests) -> Iterator[str]:
    """Find budgets that Kubernetes cannot compute: Ray's pods have no controller with a scale."""
    for manifest in manifests.of_kind("PodDisruptionBudget"):
        spec, name = manifest["spec"], manifest["metadata"]["name"]
        pods = [pod for pod in manifests.pods() if matches(spec["selector"], pod.labels)]
        if any(pod.owner.startswith("Ray/") for pod in pods):
            if not isinstance(spec.get("minAvailable"), int):
                yield f"PodDisruptionBudget {name}: only minAvailable with a number is allowed"
        elif spec.get("maxUnavailable") == 0:
            yield f"PodDisruptionBudget {name}: no node could be drained"
    for owner in ("Deployment/lesionserve-gateway", *_ray_owners(manifests)):
        labels = manifests.pod(owner).labels
        budgets = manifests.of_kind("PodDisruptionBudget")
        if not any(matches(budget["spec"]["selector"], labels) for budget in budgets):
            yield f"{owner}: no PodDisruptionBudget"


def _ray_owners(manifests: Manifests) -> list[str]:
    groups = [group["groupName"] for group in manifests.ray_cluster["workerGroupSpecs"]]
    return ["Ray/head", *(f"Ray/{name}" for name in groups)]


def check_ports(manifests: Manifests) -> Iterator[str]:
    """Find named ports that no container has: of services, probes, routes and monitors."""
    pods = manifests.pods()
    for pod in pods:
        for container in pod.containers:
            names = {port["name"] for port in container.get("ports", ())}
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                port = container.get(probe, {}).get("httpGet", {}).get("port")
                if port is not None and port not in names:
                    yield f"{pod.owner}: {probe} asks for a port {port}"
    for manifest in manifests.of_kind("Service"):
        selector = {"matchLabels": manifest["spec"].get("selector", {})}
        for port in manifest["spec"]["ports"] if selector["matchLabels"] else ():
            for pod in pods:
                if matches(selector, pod.labels) and port["targetPort"] not in pod.ports:
                    yield f"Service {manifest['metadata']['name']}: no port {port['targetPort']}"
    for manifest in manifests.of_kind("PodMonitor"):
        selected = [pod for pod in pods if matches(manifest["spec"]["selector"], pod.labels)]
        for endpoint in manifest["spec"]["podMetricsEndpoints"]:
            if not any(endpoint["port"] in pod.ports for pod in selected):
                yield f"PodMonitor {manifest['metadata']['name']}: no port {endpoint['port']}"


def check_edge(manifests: Manifests) -> Iterator[str]:
    """Find routes of the edge that lead nowhere, or that are not HTTPS."""
    services = {one["metadata"]["name"]: one["spec"] for one in manifests.of_kind("Service")}
    (ingress,) = manifests.of_kind("Ingress")
    spec = ingress["spec"]
    hosts = {host for entry in spec.get("tls", ()) for host in entry["hosts"]}
    allowed = set(manifests.settings["LESIONSERVE_ALLOWED_HOSTS"].split(","))
    for entry in spec.get("tls", ()):
        yield from _secret_problems("Ingress", entry["secretName"], ["tls.crt", "tls.key"])
    open_paths = set()
    for rule in spec["rules"]:
        if rule["host"] not in hosts:
            yield f"Ingress: {rule['host']} without TLS"
        if rule["host"] not in allowed:
            yield f"Ingress: the gateway does not know the host {rule['host']}"
        for path in rule["http"]["paths"]:
            backend = path["backend"]["service"]
            ports = services.get(backend["name"], {}).get("ports", ())
            if backend["port"]["name"] not in [port["name"] for port in ports]:
                yield f"Ingress: no port {backend['port']['name']} of {backend['name']}"
            if services.get(backend["name"], {}).get("selector"):
                open_paths.add(path["path"])
    if open_paths != {"/"}:
        yield f"Ingress: {sorted(open_paths)} are open, and not / alone"
    hidden = {path["path"] for rule in spec["rules"] for path in rule["http"]["paths"]} - {"/"}
    if hidden != {"/admin", "/metrics"}:
        yield "Ingress: /admin and /metrics are not hidden"
