from cluster.monitoring.grafana.board import Board, Section
from cluster.monitoring.grafana.panel import Kind, Panel
from cluster.monitoring.grafana.promql import per_minute, quantile

_GOLDEN = "ray_lesionserve_golden"
_PROBE = "lesionserve_gateway_probe"
_IMAGES = "lesionserve_gateway_detections_per_image"
_SCORES = "lesionserve_gateway_detection_score_bucket"
_IDENTITY = "model, version, bundle_sha256, engine, precision"
_TENTHS = {"p10": 0.1, "p50": 0.5, "p90": 0.9}

_VERSIONS = Section(
    "Versions",
    (
        Panel(
            "Models in the replicas",
            {"": f"count by ({_IDENTITY}) (ray_lesionserve_model_info)"},
            "none",
            "The number of replicas that hold each model. More than one row outside a deployment "
            "means that clients get answers of different models.",
            Kind.TABLE,
            width=16,
        ),
        Panel(
            "Since the golden cases were reproduced",
            {"longest": f"time() - min({_GOLDEN}_success_timestamp_seconds)"},
            "s",
            "Of the replica that has waited longest. Each replica repeats its golden cases on a "
            "schedule.",
            Kind.STAT,
            limit=86400.0,
            width=4,
        ),
        Panel(
            "Since the weights were verified",
            {"longest": "time() - min(ray_lesionserve_weights_success_timestamp_seconds)"},
            "s",
            "Time since each replica last found its weights in memory unchanged.",
            Kind.STAT,
            limit=172800.0,
            width=4,
        ),
    ),
)

_CONSISTENCY = Section(
    "Consistency",
    (
        Panel(
            "Score difference to the golden cases",
            {
                "replicas": f"max({_GOLDEN}_max_score_difference)",
                "probes": f"max({_PROBE}_max_score_difference)",
            },
            "none",
            "The largest difference of a lesion's score from the bundle's golden answer. A replica "
            "is replaced above 0.02.",
        ),
        Panel(
            "Mask overlap with the golden cases",
            {
                "replicas": f"min({_GOLDEN}_min_mask_iou)",
                "probes": f"min({_PROBE}_min_mask_iou)",
            },
            "percentunit",
            "The smallest intersection over union of a lesion's mask with its golden answer.",
        ),
        Panel(
            "Box difference to the golden cases",
            {
                "replicas": f"max({_GOLDEN}_max_box_pixels)",
                "probes": f"max({_PROBE}_max_box_pixels)",
            },
            "none",
            "The largest distance of a box's side from its golden answer, in pixels.",
        ),
        Panel(
            "Self-checks of the replicas",
            {
                "golden cases: {{result}}": (
                    f"sum by (result) (increase({_GOLDEN}_checks_total[1d]))"
                ),
                "weights: {{result}}": (
                    "sum by (result) (increase(ray_lesionserve_weights_checks_total[1d]))"
                ),
            },
            "none",
            "Checks within a day, by result.",
            width=12,
        ),
        Panel(
            "Probes by result",
            {"{{result}}": f"sum by (result) (increase({_PROBE}_runs_total[1h]))"},
            "none",
            "Golden images sent through the whole path within an hour.",
            Kind.LINES,
            width=12,
        ),
    ),
)

_FINDINGS = Section(
    "Findings",
    (
        Panel(
            "Lesions by class",
            {"{{label}}": per_minute("lesionserve_gateway_detections_total", "label")},
            "cpm",
            "Lesions in the answers to clients in a minute.",
            Kind.BARS,
            width=6,
        ),
        Panel(
            "Scores of the lesions",
            {name: quantile(share, _SCORES) for name, share in _TENTHS.items()},
            "none",
            "The scores of the reported lesions: a tenth of them is below p10.",
            width=6,
        ),
        Panel(
            "Lesions in an image",
            {name: quantile(share, f"{_IMAGES}_bucket") for name, share in _TENTHS.items()},
            "none",
            "The number of lesions in an answered image.",
            width=6,
        ),
        Panel(
            "Images without a lesion",
            {
                "share": f'sum(rate({_IMAGES}_bucket{{le="0.0"}}[$__rate_interval]))'
                f" / (sum(rate({_IMAGES}_count[$__rate_interval])) > 0)"
            },
            "percentunit",
            "The share of answered images in which no lesion was found.",
            width=6,
        ),
    ),
)

_VERDICTS = Section(
    "Verdicts on lesions",
    (
        Panel(
            "Precision in use",
            {
                "{{label}}": "max by (label) (lesionserve_gateway_precision)",
                "{{label}}: at most": "max by (label) (lesionserve_gateway_precision_high)",
                "{{label}}: validation": "max by (label) (lesionserve_gateway_precision_reference)",
            },
            "percentunit",
            "The share of the judged lesions that were accepted, its upper bound, and the lower "
            "end of the interval on the validation images. A bound below that end raises an alert.",
            width=16,
        ),
        Panel(
            "Verdicts",
            {"{{verdict}}": "sum by (verdict) (increase(lesionserve_gateway_verdicts_total[1d]))"},
            "none",
            "Verdicts within a day, and lesions that were called missed.",
            width=8,
        ),
    ),
)

_QUALITY = Section(
    "Image quality",
    (
        Panel(
            "Ungradable images by reason",
            {"{{reason}}": per_minute("ray_lesionserve_ungradable_images_total", "reason")},
            "cpm",
            "Images in a minute that are beyond the limits of the bundle's profile. An image with "
            "two reasons counts in both; a bundle without limits counts none.",
            Kind.BARS,
            width=24,
        ),
    ),
)

MODEL = Board(
    uid="lesionserve-model",
    title="lesionserve: model",
    description="Which models answer, whether they answer as validated, and what they find.",
    sections=(_VERSIONS, _CONSISTENCY, _FINDINGS, _VERDICTS, _QUALITY),
)
