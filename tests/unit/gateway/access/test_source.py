import pytest

from gateway.access.auth import source_of
from gateway.access.token import Token
from gateway.audit.models import Source
from gateway.environment import ProbeSettings

OURS = Token.generate()


@pytest.fixture
def probing(settings) -> None:
    settings.PROBE = ProbeSettings("https://gateway.example", str(OURS), None, 60)


def shown(token: object) -> list[tuple[bytes, bytes]]:
    return [(b"host", b"gateway.example"), (b"X-API-Key", str(token).encode())]


def test_key_of_own_probe_is_known_without_database(probing):
    assert source_of(shown(OURS)) is Source.PROBE
    assert source_of([(b"authorization", f"Api-Key {OURS}".encode())]) is Source.PROBE


@pytest.mark.parametrize(
    "headers",
    [
        [],
        shown(Token.generate()),
        shown(Token(OURS.id, "0" * 64)),
        shown(str(OURS)[:-1]),
        shown(OURS) + shown(Token.generate()),
    ],
)
def test_other_requests_are_of_clients(probing, headers):
    assert source_of(headers) is Source.CLIENT


def test_gateway_without_probe_knows_none(settings):
    settings.PROBE = None
    assert source_of(shown(OURS)) is Source.CLIENT
