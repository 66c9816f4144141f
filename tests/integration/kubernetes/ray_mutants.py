"""Mistakes in the RayService, each of which the checks have to find."""

from tests.integration.kubernetes.gateway_rules import GATEWAY
from tests.integration.kubernetes.mutants import (
    Mutant,
    app_args,
    cluster,
    edit_serve,
    head,
    worker,
    worker_container,
    worker_spec,
)

SCHEMA = (
    Mutant(
        "misspelt key of a worker group",
        lambda m: worker(m).update(maxReplica=worker(m).pop("maxReplicas")),
        "maxReplica",
        needs_crds=True,
    ),
    Mutant(
        "number where KubeRay wants text",
        lambda m: head(m)["rayStartParams"].update({"num-cpus": 0}),
        "rayStartParams are strings",
    ),
    Mutant(
        "unknown version of the autoscaler",
        lambda m: cluster(m)["autoscalerOptions"].update(version="v3"),
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
        lambda m: worker(m).update(minReplicas=20),
        "minReplicas is above maxReplicas",
    ),
    Mutant(
        "restart policy against autoscaler v2",
        lambda m: worker_spec(m).update(restartPolicy="Always"),
        "restartPolicy Never",
    ),
    Mutant(
        "password of Redis in the environment",
        lambda m: head(m)["template"]["spec"]["containers"][0]["env"].append(
            {"name": "REDIS_PASSWORD", "value": "secret"}
        ),
        "REDIS_PASSWORD is set beside",
    ),
    Mutant(
        "resources set twice",
        lambda m: worker(m).update(resources={"CPU": "4"}),
        "resources are set twice",
    ),
    Mutant(
        "incremental upgrade without autoscaler",
        lambda m: cluster(m).update(enableInTreeAutoscaling=False),
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
        lambda m: cluster(m).update(networkPolicy={"mode": "DenyAll"}),
        "feature gate",
    ),
)

SERVE = (
    Mutant(
        "unknown key in a size",
        lambda m: edit_serve(m, lambda d: app_args(d)["graph"]["predictor"].update(num_gpu=1)),
        "num_gpu",
    ),
    Mutant(
        "TLS key without its certificate",
        lambda m: edit_serve(m, lambda d: d["http_options"].pop("ssl_certfile")),
        "belong together",
    ),
    Mutant(
        "plain HTTP at the Serve proxies",
        lambda m: edit_serve(
            m, lambda d: [d["http_options"].pop(key) for key in ("ssl_certfile", "ssl_keyfile")]
        ),
        "speak plain HTTP",
    ),
    Mutant(
        "model that needs two GPUs",
        lambda m: edit_serve(m, lambda d: app_args(d)["graph"]["predictor"].update(num_gpus=2)),
        "no worker can host a replica",
    ),
    Mutant(
        "stages that take the CPUs of GPU workers",
        lambda m: edit_serve(m, lambda d: app_args(d)["graph"]["preprocess"].pop("label_selector")),
        "preprocess: its replicas may take",
    ),
    Mutant(
        "group without the label that is selected",
        lambda m: worker(m).pop("labels"),
        "ingress: no worker can host a replica",
    ),
    Mutant(
        "no GPU for a new version",
        lambda m: worker(m, 1).update(maxReplicas=8),
        "a new version needs a GPU",
    ),
    Mutant(
        "other release of Ray",
        lambda m: cluster(m).update(rayVersion="2.40.0"),
        "rayVersion is 2.40.0",
    ),
    Mutant(
        "misspelt parameter of ray start",
        lambda m: worker(m)["rayStartParams"].update({"metric-export-port": "8090"}),
        "No such option",
    ),
    Mutant(
        "object store on a disk",
        lambda m: worker(m)["rayStartParams"].pop("plasma-directory"),
        "object store may be on a disk",
    ),
    Mutant(
        "object store larger than its volume",
        lambda m: worker(m)["rayStartParams"].update({"object-store-memory": "8000000000"}),
        "smaller than the object store",
    ),
    Mutant(
        "head that serves requests",
        lambda m: m.ray_service["spec"].update(excludeHeadPodFromServeSvc=False),
        "head would get requests",
    ),
    Mutant(
        "replicas killed before they have finished",
        lambda m: worker_spec(m).update(terminationGracePeriodSeconds=30),
        "killed before preStop",
    ),
    Mutant(
        "probe over plain HTTP",
        lambda m: worker_container(m)["readinessProbe"]["httpGet"].pop("scheme"),
        "does not ask the proxy over TLS",
    ),
    Mutant(
        "bundle that replicas may change",
        lambda m: [
            mount.pop("readOnly")
            for mount in worker_container(m)["volumeMounts"]
            if mount["name"] == "models"
        ],
        "may write to /models",
    ),
)

MUTANTS = (*SCHEMA, *KUBERAY, *SERVE)
