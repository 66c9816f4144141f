"""The profile of configs/serve/cluster.yaml, in sizes for nodes whose processors are two in all."""

from pathlib import Path
from typing import Any

import yaml

from serve_app.paths import ROOT

CLUSTER_PROFILE = ROOT / "configs/serve/cluster.yaml"
# A node with a GPU has one processor: room for a predictor only.
CPUS = {"ingress": 1.5, "preprocess": 1.5, "postprocess": 1.5, "predictor": 1.0}
DOWNSCALE_S = 5


def write_profile(path: Path, bundle: Path, **predictor: Any) -> Path:
    """Write the profile; `predictor` replaces numbers of the predictors' autoscaling."""
    document = yaml.safe_load(CLUSTER_PROFILE.read_text())
    document["http_options"]["host"] = "127.0.0.1"  # behind cluster/nginx/ingress.conf
    args = document["applications"][0]["args"]
    args["model"] |= {
        "bundle": str(bundle),
        "device": "cpu",
        "threads": 1,
        "max_batch_size": 2,
    }
    args["threads"] = 1
    for name, cpus in CPUS.items():
        size = args["graph"][name]
        size |= {"num_cpus": cpus, "max_surge_percent": 100}
        size["autoscaling"] |= {"max_replicas": 2, "downscale_delay_s": DOWNSCALE_S}
    args["graph"]["predictor"]["autoscaling"] |= predictor
    path.write_text(yaml.safe_dump(document))
    return path
