"""Prometheus and Alertmanager beside the stack: configuration, commands, and what is refused."""

import stat
import subprocess
from contextlib import nullcontext

import httpx
import pytest
import yaml

from cluster.errors import StackError
from cluster.launcher.data_folder import private_files
from cluster.launcher.monitoring import Monitoring, require_monitoring_programs
from cluster.launcher.monitoring_config import alertmanager_config, prometheus_config
from cluster.launcher.options import StackOptions
from cluster.launcher.ports import StackPorts, choose_ports
from cluster.launcher.process_group import ProcessGroup
from cluster.launcher.stages import Stages
from cluster.launcher.startup import running_stack, wait_until
from cluster.paths import MONITORING
from tests.integration.monitoring.rules import ALERTS, needs_promtool
from tests.unit.cluster.launcher.workspaces import workspace_in

TOKEN = "t" * 32


@pytest.fixture
def ca(tmp_path):
    path = tmp_path / "ca.pem"
    path.write_text("certificate")
    return path


@pytest.fixture
def no_programs(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))


def test_missing_programs_are_refused_with_their_packages(no_programs):
    with pytest.raises(StackError) as raised:
        require_monitoring_programs()
    assert raised.value.exit_status == 2
    assert "apt-get install prometheus prometheus-alertmanager" in str(raised.value)


def test_package_is_named_only_where_its_program_is_missing(no_programs, tmp_path):
    program = tmp_path / "alertmanager"  # its name outside of Debian
    program.touch(0o755)
    with pytest.raises(StackError, match=r"apt-get install prometheus$"):
        require_monitoring_programs()


def test_start_is_refused_before_anything_is_started(no_programs, tmp_path):
    said: list[str] = []
    options = StackOptions(data=tmp_path / "data", monitoring=True)
    with pytest.raises(StackError) as raised, running_stack(options, said.append):
        pass
    assert raised.value.exit_status == 2
    assert (said, list(tmp_path.iterdir())) == ([], [])


def test_port_in_use_is_refused():
    with pytest.raises(StackError, match="port 70000: there is no such port"):
        StackPorts.choose(StackOptions(monitoring=True, prometheus_port=70_000))
    assert StackPorts.choose(StackOptions(prometheus_port=70_000)).prometheus is None


def test_prometheus_scrapes_this_stack(ca):
    config = prometheus_config("https://127.0.0.1:8080", ca, [8090, 44227], 9093)
    gateway, ray = config["scrape_configs"]
    assert (gateway["job_name"], gateway["scheme"]) == ("lesionserve-gateway", "https")
    assert gateway["static_configs"] == [{"targets": ["127.0.0.1:8080"]}]
    assert gateway["tls_config"] == {"ca_file": str(ca)}
    assert ray["job_name"] == "lesionserve-ray"
    assert ray["static_configs"] == [{"targets": ["127.0.0.1:8090", "127.0.0.1:44227"]}]
    assert "http_sd_configs" not in ray
    alertmanagers = config["alerting"]["alertmanagers"]
    assert alertmanagers == [{"static_configs": [{"targets": ["127.0.0.1:9093"]}]}]


def test_plain_gateway_has_no_tls_settings():
    config = prometheus_config("http://127.0.0.1:8080", None, [8090], 9093)
    gateway = config["scrape_configs"][0]
    assert gateway["scheme"] == "http"
    assert "tls_config" not in gateway


def test_alertmanager_sends_to_this_gateway_only(ca, tmp_path):
    config = alertmanager_config("https://127.0.0.1:8080", ca, tmp_path / "token")
    production = yaml.safe_load((MONITORING / "alertmanager.yml").read_text())
    assert config["route"] == production["route"]
    assert config["inhibit_rules"] == production["inhibit_rules"]
    receivers = {receiver["name"]: receiver for receiver in config["receivers"]}
    assert receivers["watchdog"] == {"name": "watchdog"}
    assert receivers["none"] == {"name": "none"}
    for name in ("page", "ticket"):
        assert receivers[name] == {
            "name": name,
            "webhook_configs": [
                {
                    "url": "https://127.0.0.1:8080/operations/alerts",
                    "send_resolved": True,
                    "max_alerts": 100,
                    "http_config": {
                        "authorization": {"credentials_file": str(tmp_path / "token")},
                        "tls_config": {"ca_file": str(ca)},
                    },
                }
            ],
        }


@needs_promtool
def test_tools_accept_configuration_of_this_stack(ca, tmp_path):
    token = tmp_path / "token"
    token.write_text(TOKEN)
    for trust in (None, ca):
        scheme = "http" if trust is None else "https"
        url = f"{scheme}://127.0.0.1:8080"
        prometheus, alertmanager = tmp_path / "prometheus.yml", tmp_path / "alertmanager.yml"
        prometheus.write_text(yaml.safe_dump(prometheus_config(url, trust, [8090], 9093)))
        alertmanager.write_text(yaml.safe_dump(alertmanager_config(url, trust, token)))
        for command in (
            ["promtool", "check", "config", prometheus],
            ["amtool", "check-config", alertmanager],
        ):
            checked = subprocess.run(command, capture_output=True, text=True)
            assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.fixture
def group():
    group = ProcessGroup()
    yield group
    group.stop(10)


@pytest.fixture
def workspace(tmp_path):
    with private_files(), workspace_in(tmp_path / "data") as workspace:
        yield workspace


@needs_promtool
def test_both_start_with_private_files(workspace, group):
    """Start the two programs. The gateway and Ray that they are to scrape are absent."""
    ports = StackPorts(*choose_ports([None] * 7))
    monitoring = Monitoring(group, workspace, ports, "http://127.0.0.1:1", TOKEN)
    with httpx.Client(trust_env=False, timeout=5) as client:
        wait_until(
            lambda: monitoring.is_ready(client),
            monitoring.processes,
            Stages(print, lambda _: nullcontext()),
        )
        answer = client.get(f"{monitoring.prometheus.url}/api/v1/rules").json()
    loaded = {rule["name"] for group in answer["data"]["groups"] for rule in group["rules"]}
    assert {alert.name for alert in ALERTS} < loaded
    token_file = workspace.temp / "monitoring" / "alerts.token"
    assert token_file.read_text() == TOKEN
    assert stat.S_IMODE(token_file.stat().st_mode) == 0o600
    data = workspace.data / "monitoring"
    assert {path.name for path in data.iterdir()} == {"prometheus", "alertmanager"}
    assert [path for path in data.rglob("*") if path.lstat().st_mode & 0o077] == []
