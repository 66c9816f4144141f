import re

import pytest
import uvicorn
from uvicorn.server import ServerState

from gateway.protocol import GatewayProtocol
from serve_app.paths import ROOT

NGINX = ROOT / "cluster/nginx/gateway.conf"


def protocol(**options: int) -> GatewayProtocol:
    config = uvicorn.Config("gateway.asgi:application", **options)
    return GatewayProtocol(config=config, server_state=ServerState(), app_state={})


async def test_idle_connection_outlives_that_of_nginx():
    (nginx_s,) = re.findall(r"^ +keepalive_timeout +(\d+)s;  # below", NGINX.read_text(), re.M)
    assert protocol().timeout_keep_alive > int(nginx_s)


@pytest.mark.parametrize("seconds", [76, 3600])
async def test_keep_alive_can_be_extended(seconds):
    assert protocol(timeout_keep_alive=seconds).timeout_keep_alive == seconds
