"""The configuration of Prometheus and Alertmanager for one machine, made from that for production.

`cluster/monitoring` is the only source of jobs, rules, routes and inhibitions. What differs here
are addresses, secrets and receivers.
"""

from pathlib import Path
from typing import Any

import yaml

from cluster.paths import MONITORING

GATEWAY_JOB = "lesionserve-gateway"
RAY_JOB = "lesionserve-ray"


def prometheus_config(
    gateway_url: str, ca: Path | None, ray_ports: list[int], alertmanager_port: int
) -> dict[str, Any]:
    """Return Prometheus' configuration. `ray_ports` are those of Ray's metrics."""
    config = _template("prometheus.yml")
    config["global"]["external_labels"] = {"site": "local", "runbooks": "docs/runbooks.md"}
    config["rule_files"] = [str(MONITORING / pattern) for pattern in config["rule_files"]]
    config["alerting"]["alertmanagers"] = [{"static_configs": [_static(alertmanager_port)]}]
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    scheme, _, address = gateway_url.partition("://")
    gateway = jobs[GATEWAY_JOB]
    gateway |= {"scheme": scheme, "static_configs": [{"targets": [address]}]}
    _trust(gateway, ca)
    ray = jobs[RAY_JOB]
    del ray["http_sd_configs"]
    ray["static_configs"] = [_static(*ray_ports)]
    return config


def alertmanager_config(gateway_url: str, ca: Path | None, token_file: Path) -> dict[str, Any]:
    """Return Alertmanager's configuration: the same routes, and the gateway as only receiver."""
    config = _template("alertmanager.yml")
    del config["global"]  # the mail server
    for receiver in config["receivers"]:
        hooks = receiver.pop("webhook_configs", [])
        if receiver.pop("email_configs", None):  # for people, so the gateway shows it as well
            receiver["webhook_configs"] = [
                _to_gateway(h, gateway_url, ca, token_file) for h in hooks
            ]
    return config


def _template(name: str) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((MONITORING / name).read_text())
    return config


def _to_gateway(
    hook: dict[str, Any], gateway_url: str, ca: Path | None, token_file: Path
) -> dict[str, Any]:
    path = hook["url"].partition("://")[2].partition("/")[2]
    client = {"authorization": {"credentials_file": str(token_file)}}
    _trust(client, ca)
    return hook | {"url": f"{gateway_url}/{path}", "http_config": client}


def _trust(client: dict[str, Any], ca: Path | None) -> None:
    client.pop("tls_config", None)
    if ca is not None:
        client["tls_config"] = {"ca_file": str(ca)}


def _static(*ports: int) -> dict[str, Any]:
    return {"targets": [f"127.0.0.1:{port}" for port in ports]}
