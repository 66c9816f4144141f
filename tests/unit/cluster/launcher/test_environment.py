from pathlib import Path

import pytest

from cluster.errors import StackError
from cluster.launcher.environment import child_environment, gateway_settings
from gateway.environment import Environment


@pytest.fixture
def settings_file(tmp_path: Path) -> Path:
    gateway_settings(tmp_path)
    return tmp_path / "gateway.env"


def refusal(data: Path) -> str:
    """Why the file is refused; it is left as it is."""
    before = (data / "gateway.env").read_bytes()
    with pytest.raises(StackError) as raised:
        gateway_settings(data)
    assert (data / "gateway.env").read_bytes() == before
    return str(raised.value)


def test_gateway_settings_are_generated_once_and_accepted(tmp_path):
    made = gateway_settings(tmp_path)
    assert gateway_settings(tmp_path) == made
    assert Environment.read(made).audit_key.get_secret_value() == made["LESIONSERVE_AUDIT_KEY"]


def test_settings_file_cut_off_anywhere_is_refused_by_name(settings_file, tmp_path):
    content = settings_file.read_bytes()
    for length in range(len(content)):
        settings_file.write_bytes(content[:length])
        assert refusal(tmp_path).startswith(f"{settings_file}: ")


def test_error_names_short_secret_without_showing_it(settings_file, tmp_path):
    secret = gateway_settings(tmp_path)["LESIONSERVE_AUDIT_KEY"]
    settings_file.write_text(settings_file.read_text().replace(secret, secret[:31]))
    message = refusal(tmp_path)
    assert message.startswith(f"{settings_file}: LESIONSERVE_AUDIT_KEY is missing or cut off")
    assert secret[:31] not in message


def test_setting_that_owner_added_is_read(settings_file, tmp_path):
    with settings_file.open("a") as file:
        file.write("\n# ours\nLESIONSERVE_DEADLINE_S=5\n")
    assert gateway_settings(tmp_path)["LESIONSERVE_DEADLINE_S"] == "5"


@pytest.mark.parametrize(
    ("inherited", "expected"),
    [
        ({}, ["localhost", "127.0.0.1", "::1"]),
        ({"NO_PROXY": ""}, ["localhost", "127.0.0.1", "::1"]),
        ({"NO_PROXY": "*"}, ["*", "localhost", "127.0.0.1", "::1"]),
        (
            {"no_proxy": "a, b", "NO_PROXY": "b,c,"},
            ["a", "b", "c", "localhost", "127.0.0.1", "::1"],
        ),
        ({"NO_PROXY": "::1"}, ["::1", "localhost", "127.0.0.1"]),
    ],
)
def test_child_uses_no_proxy_for_loopback(tmp_path, inherited, expected):
    proxies = {"HTTP_PROXY": "http://proxy.example:3128"}
    environment = child_environment({**proxies, **inherited}, tmp_path, {"A": "b"})
    for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
        assert environment[name].split(",") == expected
    assert environment["HTTP_PROXY"] == proxies["HTTP_PROXY"]
    assert (environment["A"], environment["TMPDIR"]) == ("b", str(tmp_path))
