import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509

from cluster.certificates import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.kept_in(tmp_path)


def shake(server: Path, client: ssl.SSLContext, name: str = "localhost") -> str:
    """The TLS version of a connection. Raises ssl.SSLError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        context.wrap_bio(to_server, to_client, server_side=True),
    ]
    for end in ends * 4:
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return str(ends[0].version())


def trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority.path))


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1"])
def test_who_trusts_the_authority_trusts_its_names(authority, tmp_path, name):
    server = authority.issue(tmp_path / "s.pem", ["localhost", "127.0.0.1", "::1"])
    assert shake(server, trusting(authority), name) == "TLSv1.3"


def test_another_name_or_authority_is_not_trusted(authority, tmp_path):
    server = authority.issue(tmp_path / "s.pem", ["localhost"])
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(server, trusting(authority), "127.0.0.1")
    stranger = Authority.kept_in(tmp_path / "other")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(server, trusting(stranger))


def test_a_servers_certificate_signs_nothing(authority, tmp_path):
    pem = authority.issue(tmp_path / "s.pem", ["localhost"]).read_bytes()
    certificate = x509.load_pem_x509_certificate(pem)
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert (certificate.not_valid_after_utc - certificate.not_valid_before_utc).days <= 398


def test_the_authority_is_kept_and_its_secrets_are_the_owners(authority, tmp_path):
    authority.issue(tmp_path / "s.pem", ["localhost"])
    again = Authority.kept_in(tmp_path)
    assert again.certificate == authority.certificate
    for name in ("ca.key", "s.pem"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
