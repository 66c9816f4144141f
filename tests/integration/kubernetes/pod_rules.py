"""Rules for every pod: the pod security standard "restricted", and our own."""

from collections.abc import Iterator
from decimal import Decimal

from tests.integration.kubernetes.manifests import Manifest, Manifests, Pod

# The types that the standard lists, and `image`, which Kubernetes admits since 1.33.
_VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
_UNITS = {"m": Decimal("0.001"), "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "": 1}
# Ray's autoscaler changes its cluster through the API server; nobody else asks it anything.
_MAY_ASK_API_SERVER = {"Ray/head", "Ray/cleanup"}
_WRITABLE_ONLY_IN_MEMORY = {"/tmp", "/dev/shm", "/spill", "/var/run/postgresql"}


def quantity(text: str | int) -> Decimal:
    """Return the number that a quantity of Kubernetes means."""
    text = str(text)
    unit = next(unit for unit in ("m", "Ki", "Mi", "Gi", "") if text.endswith(unit))
    return Decimal(text.removesuffix(unit)) * _UNITS[unit]


def check_pod_security(manifests: Manifests) -> Iterator[str]:
    """Find what the pod security standard "restricted" refuses."""
    for pod in manifests.pods():
        for problem in _pod_problems(pod.spec):
            yield f"{pod.owner}: {problem}"
        for container in pod.containers:
            for problem in _container_problems(container, pod.spec.get("securityContext", {})):
                yield f"{pod.owner}, {container['name']}: {problem}"
    labels = manifests.named("Namespace", "lesionserve")["metadata"]["labels"]
    if labels.get("pod-security.kubernetes.io/enforce") != "restricted":
        yield "the namespace does not enforce the standard"


def _pod_problems(spec: Manifest) -> Iterator[str]:
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(key):
            yield f"{key} is set"
    for volume in spec.get("volumes", ()):
        if not volume.keys() - {"name"} <= _VOLUMES:
            yield f"volume {volume['name']} is of a forbidden type"
    context = spec.get("securityContext", {})
    if context.get("sysctls"):
        yield "sysctls are set"
    if context.get("runAsUser") == 0 or context.get("fsGroup") == 0:
        yield "it runs as root"


def _container_problems(container: Manifest, pod: Manifest) -> Iterator[str]:
    own = container.get("securityContext", {})
    if own.get("privileged"):
        yield "privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation is not false"
    capabilities = own.get("capabilities", {})
    if capabilities.get("drop") != ["ALL"] or capabilities.get("add"):
        yield "capabilities are not dropped"
    if own.get("readOnlyRootFilesystem") is not True:
        yield "its root file system is writable"
    if own.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True or own.get("runAsUser") == 0:
        yield "runAsNonRoot is not true"
    seccomp = own.get("seccompProfile", pod.get("seccompProfile", {}))
    if seccomp.get("type") not in ("RuntimeDefault", "Localhost"):
        yield "no seccomp profile"
    if any(port.get("hostPort") for port in container.get("ports", ())):
        yield "hostPort is set"


def check_resources(manifests: Manifests) -> Iterator[str]:
    """Find containers without bounds, and volumes in memory that exceed them."""
    for pod in manifests.pods():
        for container in pod.containers:
            resources = container.get("resources", {})
            for kind in ("cpu", "memory"):
                request = resources.get("requests", {}).get(kind)
                limit = resources.get("limits", {}).get(kind)
                if request is None or limit is None:
                    yield f"{pod.owner}, {container['name']}: no request or no limit of {kind}"
                elif quantity(request) > quantity(limit):
                    yield f"{pod.owner}, {container['name']}: requests more {kind} than its limit"
        yield from _memory_problems(pod)


def _memory_problems(pod: Pod) -> Iterator[str]:
    main = pod.spec["containers"][0]
    mounts = {mount["name"] for mount in main.get("volumeMounts", ())}
    in_memory = Decimal(0)
    for name, volume in pod.volumes.items():
        if "emptyDir" not in volume:
            continue
        if "sizeLimit" not in volume["emptyDir"]:
            yield f"{pod.owner}: emptyDir {name} has no bound"
        elif volume["emptyDir"].get("medium") == "Memory" and name in mounts:
            in_memory += quantity(volume["emptyDir"]["sizeLimit"])
    limit = main.get("resources", {}).get("limits", {}).get("memory")
    if pod.owner != "Ray/cleanup" and limit is not None and in_memory > quantity(limit) / 2:
        yield f"{pod.owner}: its volumes in memory take more than half of its memory"


def check_pod_settings(manifests: Manifests) -> Iterator[str]:
    """Find pods that could ask the API server, wait for nothing at their end, or share a node."""
    names = {one["metadata"]["name"] for one in manifests.of_kind("PriorityClass")}
    for pod in manifests.pods():
        spec = pod.spec
        if spec.get("automountServiceAccountToken", True) and pod.owner not in _MAY_ASK_API_SERVER:
            yield f"{pod.owner}: it gets a token of the API server"
        if spec.get("enableServiceLinks", True):
            yield f"{pod.owner}: its environment lists the services of the namespace"
        if spec.get("priorityClassName") not in names:
            yield f"{pod.owner}: no priority class of these manifests"
        for constraint in spec.get("topologySpreadConstraints", ()):
            wanted = constraint["labelSelector"]["matchLabels"]
            if not wanted.items() <= pod.labels.items():
                yield f"{pod.owner}: it is spread beside pods of another kind"
        if pod.owner.startswith(("Deployment/", "Ray/")) and not _is_single(pod):
            if not spec.get("topologySpreadConstraints"):
                yield f"{pod.owner}: all its replicas may share a node"
            if "preStop" not in spec["containers"][0].get("lifecycle", {}):
                yield f"{pod.owner}: it ends while requests still arrive"


def _is_single(pod: Pod) -> bool:
    return pod.owner in ("Ray/head", "Ray/cleanup")


def check_images_stay_in_memory(manifests: Manifests) -> Iterator[str]:
    """Find folders on a disk that a process which holds patients' images may write to."""
    for pod in manifests.pods():
        if not pod.owner.startswith(("Deployment/lesionserve-gateway", "Ray/")):
            continue
        volumes = pod.volumes
        for container in pod.spec["containers"]:
            for mount in container.get("volumeMounts", ()):
                volume = volumes.get(mount["name"], {})
                if mount.get("readOnly"):
                    continue
                if "emptyDir" not in volume or mount["mountPath"] not in _WRITABLE_ONLY_IN_MEMORY:
                    yield f"{pod.owner}: {mount['mountPath']} is writable"
                elif volume["emptyDir"].get("medium") != "Memory" and not (
                    # Ray's logs are there, and no image: objects go to /dev/shm and /spill.
                    pod.owner.startswith("Ray/") and mount["mountPath"] == "/tmp"
                ):
                    yield f"{pod.owner}: {mount['mountPath']} is on a disk"
