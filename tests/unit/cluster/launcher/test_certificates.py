import ssl
import stat
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from cluster.errors import StackError
from cluster.launcher import certificates
from cluster.launcher.certificates import Authority, Certificates


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
def test_server_certificate_is_trusted_for_its_names(authority, tmp_path, name):
    server = authority.issue(tmp_path / "s.pem", ["localhost", "127.0.0.1", "::1"])
    assert shake(server, trusting(authority), name) == "TLSv1.3"


def test_another_name_or_authority_is_not_trusted(authority, tmp_path):
    server = authority.issue(tmp_path / "s.pem", ["localhost"])
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(server, trusting(authority), "127.0.0.1")
    stranger = Authority.kept_in(tmp_path / "other")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(server, trusting(stranger))


def test_server_certificate_is_short_lived_and_cannot_sign(authority, tmp_path):
    pem = authority.issue(tmp_path / "s.pem", ["localhost"]).read_bytes()
    certificate = x509.load_pem_x509_certificate(pem)
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert (certificate.not_valid_after_utc - certificate.not_valid_before_utc).days <= 398


def test_authority_is_reused_and_readable_by_owner_only(authority, tmp_path):
    authority.issue(tmp_path / "s.pem", ["localhost"])
    again = Authority.kept_in(tmp_path)
    assert again.certificate == authority.certificate
    for name in ("ca.key", "s.pem"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_readable_key_file_is_made_private_again(authority, tmp_path):
    (tmp_path / "s.pem").touch(mode=0o644)
    authority.issue(tmp_path / "s.pem", ["localhost"])
    assert stat.S_IMODE((tmp_path / "s.pem").stat().st_mode) == 0o600


def empty(path: Path) -> None:
    path.write_bytes(b"")


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def swap(path: Path) -> None:
    Authority.kept_in(path.parent / "other")
    path.write_bytes((path.parent / "other" / path.name).read_bytes())


DAMAGES = [
    ("ca.pem", empty),
    ("ca.pem", halve),
    ("ca.pem", swap),
    ("ca.key", empty),
    ("ca.key", halve),
    ("ca.key", swap),
    ("ca.key", Path.unlink),
]


@pytest.mark.parametrize(("name", "damage"), DAMAGES)
def test_damaged_authority_is_named_and_not_replaced(authority, tmp_path, name, damage):
    damage(tmp_path / name)
    left = {path: path.read_bytes() for path in tmp_path.glob("ca.*")}
    with pytest.raises(StackError) as raised:
        Authority.kept_in(tmp_path)
    assert str(raised.value).startswith(f"{tmp_path}: ca.pem and ca.key are damaged or no pair")
    assert {path: path.read_bytes() for path in tmp_path.glob("ca.*")} == left


def test_unfinished_authority_is_created_again(authority, tmp_path):
    authority.path.unlink()
    made = Authority.kept_in(tmp_path)
    shake(made.issue(tmp_path / "s.pem", ["localhost"]), trusting(made))
    assert not made.replaces


def test_expired_authority_is_replaced_with_notice(tmp_path, monkeypatch):
    monkeypatch.setattr(certificates, "_AUTHORITY_LASTS", timedelta(seconds=-1))
    expired = Authority.kept_in(tmp_path / "tls")
    monkeypatch.undo()
    said: list[str] = []
    issued = Certificates.issue(tmp_path / "tls", said.append)
    assert said == [f"the authority had expired: clients have to trust {expired.path} anew"]
    assert issued.ca == expired.path
    for pem in (issued.gateway, issued.ingress):
        shake(pem, trusting(Authority.kept_in(tmp_path / "tls")))


def test_no_certificate_outlives_its_authority(tmp_path, monkeypatch):
    monkeypatch.setattr(certificates, "_AUTHORITY_LASTS", timedelta(days=1))
    authority = Authority.kept_in(tmp_path)
    pem = authority.issue(tmp_path / "s.pem", ["localhost"]).read_bytes()
    issued = x509.load_pem_x509_certificate(pem)
    assert issued.not_valid_after_utc == authority.certificate.not_valid_after_utc
