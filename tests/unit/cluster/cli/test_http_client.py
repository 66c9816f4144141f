import ssl

import pytest

from cluster.cli.http_client import is_loopback, open_client, proxy_for
from pipeline.errors import ServiceError


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:8080", True),
        ("http://127.8.9.1", True),
        ("https://localhost", True),
        ("https://LOCALHOST.:8443/path", True),
        ("http://gateway.localhost", True),
        ("http://[::1]:8080", True),
        ("https://gateway.example", False),
        ("http://10.0.0.1", False),
        ("http://localhost.example", False),
        ("http://notlocalhost", False),
        ("http://127.0.0.1.example", False),
    ],
)
def test_loopback_hosts_are_known(url: str, expected: bool) -> None:
    assert is_loopback(url) is expected


PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("url", "environment", "expected"),
    [
        ("https://gateway.example", {"HTTPS_PROXY": PROXY}, PROXY),
        ("https://gateway.example", {"HTTP_PROXY": PROXY}, None),
        ("http://gateway.example", {"http_proxy": "proxy.example:3128"}, PROXY),
        ("http://gateway.example", {"ALL_PROXY": f" {PROXY} "}, PROXY),
        ("http://gateway.example", {"ALL_PROXY": ""}, None),
        ("http://127.0.0.1:8080", {"ALL_PROXY": PROXY, "HTTP_PROXY": PROXY}, None),
        ("http://localhost", {"HTTP_PROXY": PROXY, "NO_PROXY": ""}, None),
        ("http://gateway.example", {"HTTP_PROXY": PROXY, "NO_PROXY": "*"}, None),
        ("http://gateway.example", {"HTTP_PROXY": PROXY, "NO_PROXY": "x, .example"}, None),
        ("http://gateway.example", {"HTTP_PROXY": PROXY, "NO_PROXY": "other.example"}, PROXY),
        (
            "http://gateway.example:81",
            {"HTTP_PROXY": PROXY, "no_proxy": "gateway.example:81"},
            None,
        ),
        ("http://10.1.2.3", {"HTTP_PROXY": PROXY, "NO_PROXY": "10.0.0.0/8"}, None),
        ("http://11.1.2.3", {"HTTP_PROXY": PROXY, "NO_PROXY": "10.0.0.0/8"}, PROXY),
        ("http://[fd00::1]", {"HTTP_PROXY": PROXY, "NO_PROXY": "[fd00::1]"}, None),
        ("http://gateway.example", {"HTTP_PROXY": PROXY, "NO_PROXY": "[::1],fe80::/10,;"}, PROXY),
    ],
)
def test_client_uses_proxy_of_environment(monkeypatch, url, environment, expected) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(url) == expected


def test_error_names_variable_of_unusable_proxy(monkeypatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://proxy.example:1080")
    monkeypatch.delenv("HTTPS_PROXY", raising=False)
    monkeypatch.delenv("https_proxy", raising=False)
    with pytest.raises(ServiceError, match="ALL_PROXY"):
        open_client("https://gateway.example", ssl.create_default_context(), 1)
