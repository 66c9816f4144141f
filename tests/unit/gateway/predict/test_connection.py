import ssl
from pathlib import Path

import httpx
import pytest

from gateway.predict import connection
from gateway.predict.connection import connect


async def test_connect_rejects_authority_file_without_certificate(tmp_path):
    nobody = tmp_path / "ca.pem"
    nobody.write_text("no certificate")
    with pytest.raises(ssl.SSLError):
        connect("https://up", "token", ca=nobody)


async def test_client_ignores_environment(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    async with connect("http://up", "token") as client:
        assert client.trust_env is False


async def test_client_stores_no_cookies():
    client = connect("http://up", "token")
    setting = httpx.Response(
        200, headers={"Set-Cookie": "a=b"}, request=httpx.Request("GET", "http://up/")
    )
    client.cookies.extract_cookies(setting)
    assert not client.cookies
    await client.aclose()


class TestConnect:
    @pytest.fixture
    def options(self, monkeypatch) -> dict[str, object]:
        """What the client is made with, by name."""
        options: dict[str, object] = {}
        monkeypatch.setattr(
            connection.httpx, "AsyncClient", lambda **arguments: options.update(arguments)
        )
        return options

    def test_client_sends_token_and_accepts_no_compression(self, options):
        connect("http://up", "a token")
        assert options["base_url"] == "http://up"
        assert options["headers"] == {
            "Authorization": "Bearer a token",
            "User-Agent": "lesionserve-gateway",
            "Accept-Encoding": "identity",
        }

    def test_client_limits_connections_and_waits(self, options, monkeypatch):
        made: dict[str, object] = {}
        monkeypatch.setattr(
            connection.httpx, "AsyncHTTPTransport", lambda **arguments: made.update(arguments)
        )
        connect("http://up", "a token")
        assert options["timeout"] == httpx.Timeout(None, connect=2.0, pool=0.5)
        assert made["trust_env"] is False
        assert made["limits"] == httpx.Limits(
            max_connections=128, max_keepalive_connections=32, keepalive_expiry=3.0
        )

    def test_client_loads_its_certificate(self, options, monkeypatch):
        shown: list[object] = []
        monkeypatch.setattr(
            ssl.SSLContext, "load_cert_chain", lambda context, path: shown.append(path)
        )
        connect("https://up", "a token")
        assert shown == []
        connect("https://up", "a token", certificate=Path("own.pem"))
        assert shown == ["own.pem"]

    @pytest.mark.parametrize("follows", [True, False])
    def test_client_follows_named_port_unless_told_otherwise(self, options, follows):
        connect("http://up", "a token", follows=follows)
        assert isinstance(options["transport"], connection.AlternativeService) == follows
