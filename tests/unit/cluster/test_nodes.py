"""A lost node is noticed in time for a second attempt: the numbers in three files fit together."""

import re
from pathlib import Path

import pytest
import ray

from gateway.environment import Environment
from serve_app.paths import ROOT
from tests.nodes.ray_nodes import read_settings

NODES = read_settings(ROOT / "configs/nodes.env.example")
SYSCTL = {
    name.strip(): int(value)
    for name, value in read_settings(ROOT / "cluster/nginx/sysctl.conf").items()
}
DEADLINE_S = Environment.model_fields["deadline_s"].default
_FIRST_RETRANSMISSION_S = 0.2


def ray_knows(name: str) -> bool:
    # Ray ignores a variable that it does not know.
    server = Path(ray.__file__).parent / "core/src/ray/gcs/gcs_server"
    return name.encode() in server.read_bytes()


@pytest.mark.parametrize("name", [*NODES, "RAY_external_storage_namespace"])
def test_every_setting_is_known_to_ray(name):
    assert ray_knows(name)


def test_setting_that_ray_does_not_know_is_noticed():
    assert not ray_knows("RAY_health_check_period_s")


def test_ray_gives_node_up_within_half_of_deadline():
    check_ms = int(NODES["RAY_health_check_period_ms"]) + int(NODES["RAY_health_check_timeout_ms"])
    given_up_s = int(NODES["RAY_health_check_failure_threshold"]) * check_ms / 1000
    assert 10 <= given_up_s <= DEADLINE_S / 2


def test_kernel_gives_connection_up_within_half_of_deadline():
    retries = SYSCTL["net.ipv4.tcp_retries2"]
    unacknowledged_s = _FIRST_RETRANSMISSION_S * (2 ** (retries + 1) - 1)
    idle_s = SYSCTL["net.ipv4.tcp_keepalive_time"]
    idle_s += SYSCTL["net.ipv4.tcp_keepalive_intvl"] * SYSCTL["net.ipv4.tcp_keepalive_probes"]
    assert 10 <= unacknowledged_s <= DEADLINE_S / 2
    assert 10 <= idle_s <= DEADLINE_S / 2


def test_nginx_waits_longer_than_any_deadline_of_profile():
    sites = [(ROOT / "cluster/nginx" / name).read_text() for name in ("nodes.conf", "ingress.conf")]
    waits = [int(value) for site in sites for value in re.findall(r"read_timeout +(\d+)s", site)]
    (longest,) = re.findall(r"max_s: (\d+)", (ROOT / "configs/serve/cluster.yaml").read_text())
    assert len(waits) == 2
    assert min(waits) > int(longest)
