from cluster.monitoring.grafana.board import Board, Section
from cluster.monitoring.grafana.panel import Kind, Panel
from cluster.monitoring.grafana.promql import mean, per_minute, quantile

_STAGES = "ray_lesionserve_stage_seconds"
_BATCH = "ray_lesionserve_batch"

_REPLICAS = Section(
    "Replicas",
    (
        Panel(
            "Healthy replicas",
            {"{{deployment}}": "sum by (deployment) (ray_serve_deployment_replica_healthy)"},
            "none",
            "Replicas that pass their health check, by deployment.",
        ),
        Panel(
            "Replicas that autoscaling wants",
            {"{{deployment}}": "max by (deployment) (ray_serve_autoscaling_target_replicas)"},
            "none",
            "Empty where no deployment of the profile is autoscaled.",
        ),
        Panel(
            "Started replicas",
            {
                "{{deployment}}": (
                    "sum by (deployment) (increase(ray_serve_deployment_replica_starts_total[1h]))"
                )
            },
            "none",
            "Starts within an hour. Many starts without a deployment mean that replicas die.",
        ),
        Panel(
            "State of the deployments",
            {"{{deployment}}": "min by (deployment) (ray_serve_deployment_status)"},
            "none",
            "1 failed to deploy, 2 unhealthy, 3 updating, 4 and 5 scaling, 6 healthy.",
            width=12,
        ),
        Panel(
            "Requests at the ingress by status",
            {"{{status_code}}": per_minute("ray_serve_num_http_requests_total", "status_code")},
            "cpm",
            "HTTP answers of Ray Serve in a minute, health checks included.",
            Kind.BARS,
            width=12,
        ),
    ),
)

_QUEUES = Section(
    "Queues and batches",
    (
        Panel(
            "Requests in the replicas",
            {
                "{{deployment}} running": (
                    "sum by (deployment) (ray_serve_replica_processing_queries)"
                ),
                "{{deployment}} queued": (
                    "sum by (deployment) (ray_serve_deployment_queued_queries)"
                ),
            },
            "none",
            "Requests that the replicas work on, and requests that wait at their callers.",
        ),
        Panel(
            "Images waiting for the model",
            {"waiting": "sum(ray_lesionserve_waiting_images)"},
            "none",
            "Decoded images in the queues of the predictors.",
        ),
        Panel(
            "Batch size",
            {"mean": mean(f"{_BATCH}_images")},
            "none",
            "Images that the model takes at once. It grows with the load, up to max_batch_size.",
        ),
        Panel(
            "Wait for a batch",
            {
                "p50": quantile(0.5, f"{_BATCH}_wait_seconds_bucket"),
                "p95": quantile(0.95, f"{_BATCH}_wait_seconds_bucket"),
            },
            "s",
            "From the end of preprocessing to the start of the image's batch.",
            width=12,
        ),
        Panel(
            "Time of the stages, p95",
            {"{{stage}}": quantile(0.95, f"{_STAGES}_bucket", label="stage")},
            "s",
            "The time of an image in each stage; of the predictor, with its wait for a batch.",
            width=12,
        ),
    ),
)

_NODES = Section(
    "Nodes",
    (
        Panel(
            "Processors",
            {"{{ip}}": "avg by (ip) (ray_node_cpu_utilization) / 100"},
            "percentunit",
            "The used share of each node's processors.",
        ),
        Panel(
            "Memory",
            {"{{ip}}": "avg by (ip) (ray_node_mem_used / ray_node_mem_total)"},
            "percentunit",
            "The used share of each node's memory.",
        ),
        Panel(
            "GPUs",
            {
                "{{ip}} GPU {{GpuIndex}}": (
                    "avg by (ip, GpuIndex) (ray_node_gpus_utilization) / 100"
                ),
                "{{ip}} GPU {{GpuIndex}} memory": (
                    "avg by (ip, GpuIndex) (ray_node_gram_used / "
                    "(ray_node_gram_used + ray_node_gram_available))"
                ),
            },
            "percentunit",
            "The used share of each GPU and of its memory. Empty on nodes without a GPU.",
        ),
    ),
)

GRAPH = Board(
    uid="lesionserve-graph",
    title="lesionserve: graph",
    description="The Ray Serve deployments: replicas, queues, batches, stages and nodes.",
    sections=(_REPLICAS, _QUEUES, _NODES),
)
