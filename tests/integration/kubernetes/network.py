"""Who can reach whom, computed from the NetworkPolicies as a network plugin would."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

from tests.integration.kubernetes.manifests import NAMESPACE, Manifest, Manifests
from tests.integration.kubernetes.references import matches


@dataclass(frozen=True)
class Peer:
    """A pod, or an address outside of the cluster where `namespace` is None."""

    name: str
    namespace: str | None
    labels: Mapping[str, str] = field(default_factory=dict)
    address: str = "10.244.9.9"

    @property
    def namespace_labels(self) -> dict[str, str]:
        return {"kubernetes.io/metadata.name": self.namespace or ""}


@dataclass(frozen=True)
class Network:
    """The NetworkPolicies of our namespace. Other namespaces let everything pass."""

    policies: list[Manifest]

    @classmethod
    def of(cls, manifests: Manifests) -> "Network":
        return cls([policy["spec"] for policy in manifests.of_kind("NetworkPolicy")])

    def open_ports(self, source: Peer, target: Peer) -> set[int]:
        """Return the ports of PORTS at which `source` may open a connection to `target`."""
        if NAMESPACE not in (source.namespace, target.namespace):
            return {port for _, port in PORTS}
        out = self.port_lists(source, "egress", target)
        into = self.port_lists(target, "ingress", source) if out else []
        return {
            port
            for protocol, port in PORTS
            if any(_admits(ports, port, protocol) for ports in out)
            and any(_admits(ports, port, protocol) for ports in into)
        }

    def port_lists(self, peer: Peer, direction: str, other: Peer) -> list[list[Manifest]]:
        """Return the ports of each rule of `peer` that admits `other`; an empty list: all ports."""
        policies = [
            policy
            for policy in self.policies
            if peer.namespace == NAMESPACE
            and direction.capitalize() in policy["policyTypes"]
            and matches(policy["podSelector"], peer.labels)
        ]
        if not policies:
            return [[]]
        key = "to" if direction == "egress" else "from"
        return [
            rule.get("ports", [])
            for policy in policies
            for rule in policy.get(direction, ())
            if not rule.get(key) or any(_is_peer(entry, other) for entry in rule[key])
        ]


def _admits(ports: list[Manifest], port: int, protocol: str) -> bool:
    return not ports or any(
        entry.get("protocol", "TCP") == protocol
        and entry.get("port", port) <= port <= entry.get("endPort", entry.get("port", port))
        for entry in ports
    )


def _is_peer(entry: Manifest, peer: Peer) -> bool:
    if "ipBlock" in entry:
        address, block = ip_address(peer.address), entry["ipBlock"]
        inside = address in ip_network(block["cidr"])
        return inside and not any(address in ip_network(cidr) for cidr in block.get("except", ()))
    if peer.namespace is None:
        return False
    if "namespaceSelector" in entry:
        if not matches(entry["namespaceSelector"], peer.namespace_labels):
            return False
    elif peer.namespace != NAMESPACE:
        return False
    return matches(entry.get("podSelector", {}), peer.labels)


# Where something may listen: we, Ray (on random ports as well), databases, the API server.
_TCP = (53, 80, 443, 5432, 6379, 6380, 6443, 8000, 8080, 8090, 8265, 8443, 9090, 10001)
_TCP += (15012, 20123, 44217, 44227, 52365)
PORTS = (("UDP", 53), *(("TCP", port) for port in _TCP))
_MESH = {"gateway.networking.k8s.io/gateway-name": "lesionserve-inference-gateway"}


def peers(manifests: Manifests) -> list[Peer]:
    """Return all that there is: our pods, those of other namespaces, and addresses outside."""
    ours = [Peer(pod.owner, NAMESPACE, pod.labels) for pod in manifests.pods()]
    edge = manifests.named("NetworkPolicy", "edge-to-gateway")["spec"]["ingress"][0]["from"][0]
    names = edge["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
    server = manifests.named("NetworkPolicy", "head-to-api-server")["spec"]["egress"][0]["to"]
    blocks = [ip_network(entry["ipBlock"]["cidr"]) for entry in server]
    addresses = [str(block[0]) for block in blocks if block.num_addresses == 1]
    prometheus, alertmanager = (
        {"app.kubernetes.io/name": name} for name in ("prometheus", "alertmanager")
    )
    others = [
        Peer("edge", names, {"app": "controller"}),
        Peer("dns", "kube-system", {"k8s-app": "kube-dns"}),
        Peer("kuberay", "kuberay-system", {"app": "kuberay-operator"}),
        Peer("prometheus", "monitoring", prometheus),
        Peer("alertmanager", "monitoring", alertmanager),
        Peer("mesh", NAMESPACE, _MESH),
        Peer("istiod", "istio-system", {"app": "istiod"}),
        Peer("new pod of ours", NAMESPACE, {}),
        Peer("pod of others", "default", {"app.kubernetes.io/component": "gateway"}),
        Peer("kube-system", "kube-system", {"k8s-app": "metrics-server"}),
        Peer("internet", None, address="203.0.113.9"),
        Peer("metadata", None, address="169.254.169.254"),  # of a cloud, with its credentials
        Peer("database", None, address="192.0.2.10"),
        Peer("redis", None, address="192.0.2.11"),
        *(Peer("api server", None, address=address) for address in addresses),
    ]
    return ours + others


def reachable(manifests: Manifests) -> set[tuple[str, str, int]]:
    """Return each (source, target, port) that is let through, from or to a pod of ours."""
    network, everyone = Network.of(manifests), peers(manifests)
    found = set()
    for source in everyone:
        for target in everyone:
            if source is target or NAMESPACE not in (source.namespace, target.namespace):
                continue
            for port in network.open_ports(source, target):
                found.add((source.name, target.name, port))
    return found


def check_reachability(manifests: Manifests) -> Iterator[str]:
    """Find connections that are let through and should not be, and the reverse."""
    found, wanted = reachable(manifests), set(expected(manifests))
    for source, target, port in sorted(found - wanted):
        yield f"{source} reaches {target} at {port}"
    for source, target, port in sorted(wanted - found):
        yield f"{source} does not reach {target} at {port}"


def expected(manifests: Manifests) -> Iterator[tuple[str, str, int]]:
    """Return each connection that the service needs. Every other is refused."""
    owners = [pod.owner for pod in manifests.pods()]
    gateway = "Deployment/lesionserve-gateway"
    tasks = [owner for owner in owners if owner.startswith(("CronJob/", "Job/"))]
    ray = [owner for owner in owners if owner.startswith("Ray/")]
    workers = [owner for owner in ray if owner not in ("Ray/head", "Ray/cleanup")]
    heads = ["Ray/head", "Ray/cleanup"]
    has_data = "StatefulSet/lesionserve-redis" in owners
    database = "StatefulSet/lesionserve-postgresql" if has_data else "database"
    redis = "StatefulSet/lesionserve-redis" if has_data else "redis"
    for owner in (*owners, "mesh", "new pod of ours"):
        yield owner, "dns", 53
    yield "edge", gateway, 8080
    yield gateway, "edge", 443
    yield gateway, "edge", 8443
    yield gateway, redis, 6379
    for client in (gateway, *tasks):
        yield client, database, 5432
    for source in ray:
        yield from ((source, target, port) for target in ray for port in _TCP if source != target)
    for head in heads:
        yield head, redis, 6379
        yield "kuberay", head, 8265
        yield head, "api server", 443
        yield head, "api server", 6443
    yield from _expected_images(manifests, gateway, workers)
    if manifests.of_kind("PodMonitor"):
        yield "prometheus", gateway, 8080
        yield "alertmanager", gateway, 8080
        yield gateway, "prometheus", 9090
        yield from (("prometheus", node, port) for node in ray for port in (8090, 44217, 44227))


def _expected_images(
    manifests: Manifests, gateway: str, workers: list[str]
) -> Iterator[tuple[str, str, int]]:
    strategy = manifests.ray_service["spec"]["upgradeStrategy"]["type"]
    if strategy == "NewClusterWithIncrementalUpgrade":
        yield gateway, "mesh", 80
        yield "mesh", "istiod", 15012
        yield from (("mesh", worker, 8000) for worker in workers)
    else:
        yield from ((gateway, worker, 8000) for worker in workers)
