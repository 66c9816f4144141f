"""Small mistakes in the manifests, each of which the checks have to find."""

from collections.abc import Callable
from dataclasses import dataclass

import yaml

from tests.integration.kubernetes.gateway_rules import GATEWAY
from tests.integration.kubernetes.manifests import Manifest, Manifests


@dataclass(frozen=True)
class Mutant:
    """One mistake. found: what a check says of it, as a regular expression."""

    name: str
    change: Callable[[Manifests], object]
    found: str
    variant: str = "gpu"
    needs_crds: bool = False

    def __str__(self) -> str:
        return self.name


def _cluster(manifests: Manifests) -> Manifest:
    return manifests.ray_cluster


def _worker(manifests: Manifests, index: int = 0) -> Manifest:
    group: Manifest = manifests.ray_cluster["workerGroupSpecs"][index]
    return group


def _spec(manifests: Manifests, index: int = 0) -> Manifest:
    spec: Manifest = _worker(manifests, index)["template"]["spec"]
    return spec


def _container(manifests: Manifests, index: int = 0) -> Manifest:
    container: Manifest = _spec(manifests, index)["containers"][0]
    return container


def _head(manifests: Manifests) -> Manifest:
    head: Manifest = manifests.ray_cluster["headGroupSpec"]
    return head


def _gateway(manifests: Manifests) -> Manifest:
    container: Manifest = manifests.pod(GATEWAY).spec["containers"][0]
    return container


def _policy(manifests: Manifests, name: str) -> Manifest:
    spec: Manifest = manifests.named("NetworkPolicy", name)["spec"]
    return spec


def _drop(manifests: Manifests, kind: str, name: str) -> None:
    manifests.objects.remove(manifests.named(kind, name))


def _edit_serve(manifests: Manifests, change: Callable[[Manifest], object]) -> None:
    spec = manifests.ray_service["spec"]
    document = yaml.safe_load(spec["serveConfigV2"])
    change(document)
    spec["serveConfigV2"] = yaml.safe_dump(document)


def _args(document: Manifest) -> Manifest:
    args: Manifest = document["applications"][0]["args"]
    return args


SCHEMA = (
    Mutant(
        "misspelt key of a worker group",
        lambda m: _worker(m).update(maxReplica=_worker(m).pop("maxReplicas")),
        "maxReplica",
        needs_crds=True,
    ),
    Mutant(
        "number where KubeRay wants text",
        lambda m: _head(m)["rayStartParams"].update({"num-cpus": 0}),
        "rayStartParams are strings",
    ),
    Mutant(
        "unknown version of the autoscaler",
        lambda m: _cluster(m)["autoscalerOptions"].update(version="v3"),
        "v3",
        needs_crds=True,
    ),
    Mutant(
        "misspelt key of a Deployment",
        lambda m: m.pod(GATEWAY).spec.update(terminationGracePeriod=60),
        "terminationGracePeriod",
    ),
    Mutant(
        "former API of the budget",
        lambda m: m.of_kind("PodDisruptionBudget")[0].update(apiVersion="policy/v1beta1"),
        "no API of Kubernetes: policy",
    ),
)

KUBERAY = (
    Mutant(
        "minimum above the maximum",
        lambda m: _worker(m).update(minReplicas=20),
        "minReplicas is above maxReplicas",
    ),
    Mutant(
        "restart policy against autoscaler v2",
        lambda m: _spec(m).update(restartPolicy="Always"),
        "restartPolicy Never",
    ),
    Mutant(
        "password of Redis in the environment",
        lambda m: _head(m)["template"]["spec"]["containers"][0]["env"].append(
            {"name": "REDIS_PASSWORD", "value": "secret"}
        ),
        "REDIS_PASSWORD is set beside",
    ),
    Mutant(
        "resources set twice",
        lambda m: _worker(m).update(resources={"CPU": "4"}),
        "resources are set twice",
    ),
    Mutant(
        "incremental upgrade without autoscaler",
        lambda m: _cluster(m).update(enableInTreeAutoscaling=False),
        "incremental upgrade needs the autoscaler",
        variant="gpu-incremental",
    ),
    Mutant(
        "step above the surge",
        lambda m: m.ray_service["spec"]["upgradeStrategy"]["clusterUpgradeOptions"].update(
            stepSizePercent=50
        ),
        "stepSizePercent is above",
        variant="gpu-incremental",
    ),
    Mutant(
        "network policies behind a closed gate",
        lambda m: _cluster(m).update(networkPolicy={"mode": "DenyAll"}),
        "feature gate",
    ),
)

SERVE = (
    Mutant(
        "unknown key in a size",
        lambda m: _edit_serve(m, lambda d: _args(d)["graph"]["predictor"].update(num_gpu=1)),
        "num_gpu",
    ),
    Mutant(
        "TLS key without its certificate",
        lambda m: _edit_serve(m, lambda d: d["http_options"].pop("ssl_certfile")),
        "belong together",
    ),
    Mutant(
        "plain HTTP at the Serve proxies",
        lambda m: _edit_serve(
            m, lambda d: [d["http_options"].pop(key) for key in ("ssl_certfile", "ssl_keyfile")]
        ),
        "speak plain HTTP",
    ),
    Mutant(
        "model that needs two GPUs",
        lambda m: _edit_serve(m, lambda d: _args(d)["graph"]["predictor"].update(num_gpus=2)),
        "no worker can host a replica",
    ),
    Mutant(
        "stages that take the CPUs of GPU workers",
        lambda m: _edit_serve(m, lambda d: _args(d)["graph"]["preprocess"].pop("label_selector")),
        "preprocess: its replicas may take",
    ),
    Mutant(
        "group without the label that is selected",
        lambda m: _worker(m).pop("labels"),
        "ingress: no worker can host a replica",
    ),
    Mutant(
        "no GPU for a new version",
        lambda m: _worker(m, 1).update(maxReplicas=8),
        "a new version needs a GPU",
    ),
    Mutant(
        "other release of Ray",
        lambda m: _cluster(m).update(rayVersion="2.40.0"),
        "rayVersion is 2.40.0",
    ),
    Mutant(
        "misspelt parameter of ray start",
        lambda m: _worker(m)["rayStartParams"].update({"metric-export-port": "8090"}),
        "No such option",
    ),
    Mutant(
        "object store on a disk",
        lambda m: _worker(m)["rayStartParams"].pop("plasma-directory"),
        "object store may be on a disk",
    ),
    Mutant(
        "object store larger than its volume",
        lambda m: _worker(m)["rayStartParams"].update({"object-store-memory": "8000000000"}),
        "smaller than the object store",
    ),
    Mutant(
        "head that serves requests",
        lambda m: m.ray_service["spec"].update(excludeHeadPodFromServeSvc=False),
        "head would get requests",
    ),
    Mutant(
        "replicas killed before they have finished",
        lambda m: _spec(m).update(terminationGracePeriodSeconds=30),
        "killed before preStop",
    ),
    Mutant(
        "probe over plain HTTP",
        lambda m: _container(m)["readinessProbe"]["httpGet"].pop("scheme"),
        "does not ask the proxy over TLS",
    ),
    Mutant(
        "bundle that replicas may change",
        lambda m: [
            mount.pop("readOnly")
            for mount in _container(m)["volumeMounts"]
            if mount["name"] == "models"
        ],
        "may write to /models",
    ),
)

PODS = (
    Mutant(
        "privilege escalation in the autoscaler",
        lambda m: _cluster(m)["autoscalerOptions"].pop("securityContext"),
        "Ray/head, autoscaler: allowPrivilegeEscalation",
    ),
    Mutant(
        "writable root file system",
        lambda m: _container(m)["securityContext"].pop("readOnlyRootFilesystem"),
        "root file system is writable",
    ),
    Mutant(
        "container that runs as root",
        lambda m: _container(m)["securityContext"].update(runAsUser=0),
        "runAsNonRoot",
    ),
    Mutant(
        "volume of the host",
        lambda m: _spec(m)["volumes"].append({"name": "host", "hostPath": {"path": "/"}}),
        "forbidden type",
    ),
    Mutant(
        "token of the API server in a worker",
        lambda m: _spec(m).pop("automountServiceAccountToken"),
        "gets a token of the API server",
    ),
    Mutant(
        "images on the disk of a gateway",
        lambda m: m.pod(GATEWAY).spec["volumes"][0]["emptyDir"].pop("medium"),
        "/tmp is on a disk",
    ),
    Mutant(
        "no bound for memory",
        lambda m: _container(m)["resources"]["limits"].pop("memory"),
        "no limit of memory",
    ),
    Mutant(
        "replicas of the gateway on one node",
        lambda m: m.pod(GATEWAY).spec.pop("topologySpreadConstraints"),
        "may share a node",
    ),
)

REFERENCES = (
    Mutant(
        "secret that nobody makes",
        lambda m: _cluster(m)["authOptions"].update(secretName="ray-token"),
        "names no Secret 'ray-token'",
    ),
    Mutant(
        "token in plain sight",
        lambda m: _gateway(m)["env"].append(
            {"name": "LESIONSERVE_SERVICE_TOKEN", "value": "t" * 64}
        ),
        "in plain sight",
    ),
    Mutant(
        "selector that selects nothing",
        lambda m: m.named("PodDisruptionBudget", "lesionserve-inference-gpu")["spec"]["selector"][
            "matchLabels"
        ].update({"lesionserve/group": "gpus"}),
        "selects no pod",
    ),
    Mutant(
        "budget that Kubernetes cannot compute",
        lambda m: m.named("PodDisruptionBudget", "lesionserve-inference-cpu")["spec"].update(
            minAvailable="50%"
        ),
        "only minAvailable with a number",
    ),
    Mutant(
        "autoscaler of a missing Deployment",
        lambda m: m.of_kind("HorizontalPodAutoscaler")[0]["spec"]["scaleTargetRef"].update(
            name="gateway"
        ),
        "no Deployment gateway",
    ),
    Mutant(
        "volume that is not there",
        lambda m: _drop(m, "PersistentVolumeClaim", "lesionserve-models"),
        "no claim lesionserve-models",
    ),
    Mutant(
        "port of a service that is not named",
        lambda m: m.named("Service", "lesionserve-gateway")["spec"]["ports"][0].update(
            targetPort="http"
        ),
        "no port http",
    ),
    Mutant(
        "edge without TLS",
        lambda m: m.of_kind("Ingress")[0]["spec"].pop("tls"),
        "without TLS",
    ),
    Mutant(
        "admin open to the world",
        lambda m: m.of_kind("Ingress")[0]["spec"]["rules"][0]["http"]["paths"].pop(1),
        "not hidden",
    ),
    Mutant(
        "monitor of a port that is not there",
        lambda m: m.named("PodMonitor", "lesionserve-ray")["spec"]["podMetricsEndpoints"][1].update(
            port="autoscaler"
        ),
        "no port autoscaler",
        variant="gpu-probed",
    ),
    Mutant(
        "former rule of an alert",
        lambda m: m.of_kind("PrometheusRule")[0]["spec"]["groups"][0]["rules"][0].update(expr="1"),
        "not what cluster/monitoring/rules has",
        variant="gpu-probed",
    ),
)

GATEWAY_MUTANTS = (
    Mutant(
        "setting that the gateway does not read",
        lambda m: m.settings.update(LESIONSERVE_ALLOWED_HOST="lesionserve.example"),
        "reads no LESIONSERVE_ALLOWED_HOST",
    ),
    Mutant(
        "any host allowed",
        lambda m: m.settings.update(LESIONSERVE_ALLOWED_HOSTS="*"),
        "name the hosts",
    ),
    Mutant(
        "everybody believed about the client",
        lambda m: m.settings.update(FORWARDED_ALLOW_IPS="*"),
        "believes",
    ),
    Mutant(
        "images in plain HTTP inside the cluster",
        lambda m: m.settings.update(
            LESIONSERVE_UPSTREAM_URL="http://lesionserve-inference-serve-svc:8000"
        ),
        "over HTTPS",
    ),
    Mutant(
        "authority that is not mounted",
        lambda m: m.settings.update(LESIONSERVE_UPSTREAM_CA="/etc/lesionserve/ca.crt"),
        "ca.crt is not mounted",
    ),
    Mutant(
        "uvicorn without the gateway's protocol",
        lambda m: _gateway(m)["command"].remove("--http=gateway.protocol:GatewayProtocol"),
        "without the gateway's protocol",
    ),
    Mutant(
        "more images than memory",
        lambda m: m.settings.update(LESIONSERVE_MAX_IN_FLIGHT="64"),
        "do not fit into its memory",
    ),
    Mutant(
        "probe that the database can fail",
        lambda m: _gateway(m)["livenessProbe"]["httpGet"].update(path="/readyz"),
        "not HTTPS /healthz",
    ),
    Mutant(
        "image of another version",
        lambda m: _gateway(m).update(image="lesionserve-gateway:0.0.9"),
        "not of version",
    ),
    Mutant(
        "misspelt option of a daily task",
        lambda m: (
            m.pod("CronJob/lesionserve-backup").spec["containers"][0]["command"].append("--keeps")
        ),
        "backup: .*--keeps",
    ),
)

NETWORK = (
    Mutant(
        "no default for what is not listed",
        lambda m: _drop(m, "NetworkPolicy", "default-deny"),
        "reaches",
    ),
    Mutant(
        "clients at the inference half",
        lambda m: _policy(m, "inference-from-gateway")["ingress"].append(
            {"from": [{"namespaceSelector": {}}], "ports": [{"protocol": "TCP", "port": 8000}]}
        ),
        "edge reaches Ray/cpu at 8000|pod of others reaches Ray/cpu at 8000",
    ),
    Mutant(
        "gateway at the ports of Ray",
        lambda m: [
            _policy(m, name)[key][0].pop("ports")
            for name, key in (
                ("gateway-to-inference", "egress"),
                ("inference-from-gateway", "ingress"),
            )
        ],
        "lesionserve-gateway reaches Ray/cpu at 6380",
    ),
    Mutant(
        "head that may ask the internet",
        lambda m: _policy(m, "head-to-api-server")["egress"][0]["to"].append(
            {"ipBlock": {"cidr": "0.0.0.0/0"}}
        ),
        "Ray/head reaches internet at 443",
    ),
    Mutant(
        "no way to the names",
        lambda m: _drop(m, "NetworkPolicy", "dns"),
        "does not reach dns",
    ),
    Mutant(
        "selector of the redis policy misspelt",
        lambda m: _policy(m, "redis")["podSelector"]["matchLabels"].update(
            {"app.kubernetes.io/component": "cache"}
        ),
        "does not reach StatefulSet/lesionserve-redis",
        variant="gpu-probed",
    ),
)

MUTANTS = (*SCHEMA, *KUBERAY, *SERVE, *PODS, *REFERENCES, *GATEWAY_MUTANTS, *NETWORK)
