import ssl

import pytest

from cluster.http import is_loopback, open_client


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


def test_another_host_goes_through_the_proxy(monkeypatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    context = ssl.create_default_context()
    with open_client("https://gateway.example", context, 1) as client:
        assert client._mounts
    with open_client("https://127.0.0.1", context, 1) as client:
        assert not client._mounts
