"""The configurations of Prometheus, Alertmanager and Grafana for Compose, made from those for
production (cluster/monitoring).
"""

from pathlib import Path
from typing import Any

import yaml

from cluster.launcher import monitoring_config
from cluster.paths import MONITORING

AUTHORITY = Path("/etc/lesionserve/tls/ca.pem")
_GRAFANA = MONITORING / "grafana"


def prometheus(host: str) -> str:
    """Return Prometheus' configuration. It asks the gateway and Ray in networks of their own."""
    config = monitoring_config.prometheus_config("http://gateway:8080", None, [], 9093)
    config["global"]["external_labels"]["site"] = host
    config["rule_files"] = ["rules/*.yml"]
    config["alerting"]["alertmanagers"] = [_targets("alertmanager:9093")]
    for job in config["scrape_configs"]:
        if job["job_name"] == monitoring_config.RAY_JOB:
            # Ray's processes and replicas; its dashboard.
            job |= _targets("serve:8090", "serve:44227")
    return yaml.safe_dump(config, sort_keys=False)


def alertmanager(url: str) -> str:
    """Return Alertmanager's configuration. Its only receiver is the gateway, at `url`."""
    token = Path("/run/secrets/alerts_token")
    return yaml.safe_dump(
        monitoring_config.alertmanager_config(url, AUTHORITY, token), sort_keys=False
    )


def grafana_datasources() -> str:
    config = _provisioning("datasources")
    (source,) = config["datasources"]
    source["url"] = "http://prometheus:9090"
    return yaml.safe_dump(config, sort_keys=False)


def grafana_dashboards() -> str:
    """Return the provider of our dashboards alone: Ray's head is not asked for its own."""
    config = _provisioning("dashboards")
    config["providers"] = [p for p in config["providers"] if p["name"] == "lesionserve"]
    return yaml.safe_dump(config, sort_keys=False)


def _provisioning(kind: str) -> dict[str, Any]:
    path = _GRAFANA / "provisioning" / kind / "lesionserve.yaml"
    config: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return config


def _targets(*targets: str) -> dict[str, Any]:
    return {"static_configs": [{"targets": list(targets)}]}
