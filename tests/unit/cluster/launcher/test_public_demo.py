from dataclasses import replace
from pathlib import Path

import pytest
from ray._private.ray_constants import OBJECT_STORE_MINIMUM_MEMORY_BYTES

from cluster.cli import up as up_command
from cluster.errors import StackError
from cluster.launcher.gateway_process import GatewayProcess
from cluster.launcher.options import StackOptions
from cluster.launcher.ports import StackPorts
from cluster.launcher.public_demo import OBJECT_STORE_BYTES, PORT, PublicDemo
from cluster.launcher.serve_process import ServeProcess
from cluster.launcher.workspace import Workspace, open_workspace
from cluster.paths import LOCAL_PROFILE, SPACE_PROFILE
from gateway.access.token import Token
from gateway.environment import Environment
from serve_app.config import load_profile
from tests.unit.cluster.launcher.test_stack import SleepingGroup, group, workspace

__all__ = ["group", "workspace"]  # fixtures

SPACE = {"SPACE_HOST": "clinic-demo.hf.space"}
OPTIONS = StackOptions(config=SPACE_PROFILE, public_demo=True)
PORTS = StackPorts(gateway=PORT, ingress=2, dashboard=None, metrics=4, ray_metrics=5)


def refusal(options: StackOptions, environment: dict[str, str] = SPACE) -> str:
    with pytest.raises(StackError) as raised:
        PublicDemo.of(options, environment)
    assert raised.value.exit_status == 2
    return str(raised.value)


def test_demo_listens_on_all_interfaces_behind_proxies(group: SleepingGroup, workspace: Workspace):
    demo = PublicDemo.of(OPTIONS, SPACE)
    variables = demo.gateway_variables("a key")
    gateway = GatewayProcess(group, workspace, PORT, "http://x", variables, demo.exposure)
    (command,) = group.commands
    assert command[command.index("--host") + 1] == "0.0.0.0"
    assert command[command.index("--port") + 1] == "7860"
    assert "--no-proxy-headers" not in command
    trusted = command[command.index("--forwarded-allow-ips") + 1].split(",")
    assert "*" not in trusted, "with * the client writes its own address"
    assert gateway.url == "http://127.0.0.1:7860", "where the launcher asks for readiness"


def test_other_gateways_listen_on_loopback_address(group: SleepingGroup, workspace: Workspace):
    GatewayProcess(group, workspace, 1, "http://127.0.0.1:2")
    (command,) = group.commands
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert "--no-proxy-headers" in command
    assert "--forwarded-allow-ips" not in command


@pytest.mark.parametrize("is_public", [True, False])
def test_driver_refuses_other_bundles_in_public(group, workspace, is_public):
    ServeProcess(group, workspace, StackOptions(public_demo=is_public), PORTS)
    (command,) = group.commands
    assert ("--demo-only" in command) == is_public
    assert ("--object-store-bytes" in command) == is_public


def test_object_store_takes_all_admitted_images():
    settings = read(PublicDemo.of(OPTIONS, SPACE))
    assert settings.max_in_flight * settings.max_image_bytes <= OBJECT_STORE_BYTES
    assert OBJECT_STORE_BYTES >= OBJECT_STORE_MINIMUM_MEMORY_BYTES


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"config": LOCAL_PROFILE}, "--config"),
        ({"bundle": Path("my-bundle")}, "--bundle"),
        ({"data": Path("/data")}, "--data"),
        ({"tls": True}, "--tls"),
        ({"dashboard": True}, "--dashboard"),
        ({"monitoring": True}, "--monitoring"),
    ],
)
def test_public_demo_takes_no_option_of_clinic(changes, name):
    message = refusal(replace(OPTIONS, **changes))
    assert message.startswith(f"--public-demo does not go with {name}: ")
    assert "docs/deploy.md" in message


def test_refusal_names_all_options_that_do_not_fit():
    message = refusal(replace(OPTIONS, bundle=Path("b"), tls=True))
    assert message.startswith("--public-demo does not go with --bundle, --tls: ")


@pytest.mark.parametrize("environment", [{}, {"SPACE_HOST": ""}])
def test_public_demo_outside_space_is_refused(environment):
    assert "SPACE_HOST is not set" in refusal(OPTIONS, environment)


def read(demo: PublicDemo) -> Environment:
    """Return the gateway's settings, as its process reads them."""
    secrets = {
        "LESIONSERVE_SECRET_KEY": "k" * 50,
        "LESIONSERVE_SERVICE_TOKEN": "t" * 32,
        "LESIONSERVE_AUDIT_KEY": "a" * 32,
    }
    return Environment.read({**secrets, **demo.gateway_variables(str(Token.generate()))})


def test_gateway_of_demo_keeps_nothing_and_limits_addresses():
    settings = read(PublicDemo.of(OPTIONS, SPACE))
    assert settings.allowed_hosts == ["clinic-demo.hf.space"]
    assert settings.frame_ancestors == ["https://huggingface.co"]
    assert (settings.rates.address, settings.rates.caller) == (10, 60)
    assert (settings.idempotency_s, settings.metrics_hosts) == (0, [])
    assert settings.public_demo_key is not None


def test_owner_may_set_limits_frames_and_own_domain():
    variables = {
        "LESIONSERVE_ADDRESS_REQUESTS_PER_MINUTE": "2",
        "LESIONSERVE_REQUESTS_PER_MINUTE": "7",
        "LESIONSERVE_FRAME_ANCESTORS": "https://huggingface.co,https://lab.example",
        "LESIONSERVE_ALLOWED_HOSTS": "demo.lab.example",
    }
    settings = read(PublicDemo.of(OPTIONS, SPACE | variables))
    assert settings.allowed_hosts == ["clinic-demo.hf.space", "demo.lab.example"]
    assert settings.frame_ancestors == ["https://huggingface.co", "https://lab.example"]
    assert (settings.rates.address, settings.rates.caller) == (2, 7)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LESIONSERVE_IDEMPOTENCY_S", "600"),
        ("LESIONSERVE_METRICS_HOSTS", "*"),
        ("LESIONSERVE_DEBUG", "1"),
        ("LESIONSERVE_PUBLIC_DEMO_KEY", ""),
        ("LESIONSERVE_MAX_IMAGE_BYTES", "99999999"),
    ],
)
def test_owner_cannot_switch_protection_off(workspace: Workspace, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    demo = PublicDemo.of(OPTIONS, SPACE | {name: value})
    key = str(Token.generate())
    inherited = workspace.gateway_environment("http://127.0.0.1:2")
    settings = Environment.read(inherited | demo.gateway_variables(key))
    assert settings.public_demo_key == key
    assert (settings.idempotency_s, settings.metrics_hosts, settings.debug) == (0, [], False)
    assert settings.max_image_bytes == 10 * 1024 * 1024


def test_secrets_of_owner_are_used_and_others_made():
    audit_key = "an audit key of the owner, long enough"
    demo = PublicDemo.of(OPTIONS, SPACE | {"LESIONSERVE_AUDIT_KEY": audit_key, "HF_TOKEN": "x"})
    assert demo.secrets == {"LESIONSERVE_AUDIT_KEY": audit_key}
    with open_workspace(None, tls=False, say=print, secrets=demo.secrets) as opened:
        settings = opened.gateway_settings
        assert settings["LESIONSERVE_AUDIT_KEY"] == audit_key
        assert len(settings["LESIONSERVE_SECRET_KEY"]) >= 50
        folder = opened.temp
        assert settings["DATABASE_URL"].startswith(f"sqlite:///{folder}")
    assert not folder.exists(), "nothing is kept"


def test_limits_of_gateway_fit_profile():
    args = load_profile(SPACE_PROFILE).application.args
    settings = read(PublicDemo.of(OPTIONS, SPACE))
    limits = settings.image_limits
    assert (limits.max_bytes, limits.max_pixels) == (args.image.max_bytes, args.image.max_pixels)
    assert settings.max_in_flight <= args.graph.ingress.max_ongoing_requests


def test_profile_fits_basic_hardware():
    args = load_profile(SPACE_PROFILE).application.args
    assert args.graph.layout == "fused"
    assert max(args.model.threads, args.threads) <= 2
    assert args.model.device == "cpu"
    assert load_profile(SPACE_PROFILE).http_options.host == "127.0.0.1"


def options_of(monkeypatch, **arguments: object) -> StackOptions:
    """Return what the command asks the launcher for."""
    asked: list[StackOptions] = []
    monkeypatch.setattr(up_command, "_stay_up", lambda options, _path: asked.append(options))
    up_command.up(**arguments)
    return asked[0]


def test_command_for_space_keeps_no_data(monkeypatch):
    options = options_of(monkeypatch, public_demo=True)
    assert options == replace(OPTIONS, gateway_port=PORT)
    assert PublicDemo.of(options, SPACE)


def test_command_without_option_is_not_public(monkeypatch, tmp_path):
    options = options_of(monkeypatch, data=tmp_path)
    assert (options.public_demo, options.config) == (False, LOCAL_PROFILE)
    assert (options.gateway_port, options.data) == (None, tmp_path)
