import pytest

from gateway.addresses import client_of


def scope(host: str | None) -> dict[str, object]:
    return {"client": None if host is None else (host, 1)}


@pytest.mark.parametrize(
    ("host", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown", "unknown"),
        ("", "unknown"),
        (None, "unknown"),
    ],
)
def test_client_is_address_or_64_of_ipv6(host, client):
    assert client_of(scope(host)) == client
