"""Mistakes in pods and references, each of which the checks have to find."""

from tests.integration.kubernetes.gateway_rules import GATEWAY
from tests.integration.kubernetes.mutants import (
    Mutant,
    cluster,
    drop,
    gateway_container,
    worker_container,
    worker_spec,
)

PODS = (
    Mutant(
        "privilege escalation in the autoscaler",
        lambda m: cluster(m)["autoscalerOptions"].pop("securityContext"),
        "Ray/head, autoscaler: allowPrivilegeEscalation",
    ),
    Mutant(
        "writable root file system",
        lambda m: worker_container(m)["securityContext"].pop("readOnlyRootFilesystem"),
        "root file system is writable",
    ),
    Mutant(
        "container that runs as root",
        lambda m: worker_container(m)["securityContext"].update(runAsUser=0),
        "runAsNonRoot",
    ),
    Mutant(
        "volume of the host",
        lambda m: worker_spec(m)["volumes"].append({"name": "host", "hostPath": {"path": "/"}}),
        "forbidden type",
    ),
    Mutant(
        "token of the API server in a worker",
        lambda m: worker_spec(m).pop("automountServiceAccountToken"),
        "gets a token of the API server",
    ),
    Mutant(
        "images on the disk of a gateway",
        lambda m: m.pod(GATEWAY).spec["volumes"][0]["emptyDir"].pop("medium"),
        "/tmp is on a disk",
    ),
    Mutant(
        "no bound for memory",
        lambda m: worker_container(m)["resources"]["limits"].pop("memory"),
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
        lambda m: cluster(m)["authOptions"].update(secretName="ray-token"),
        "names no Secret 'ray-token'",
    ),
    Mutant(
        "token in plain sight",
        lambda m: gateway_container(m)["env"].append(
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
        lambda m: drop(m, "PersistentVolumeClaim", "lesionserve-models"),
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

MUTANTS = (*PODS, *REFERENCES)
