"""A private certificate authority for one machine, so that both hops are HTTPS from the first
start. Its key stays in the data folder; whoever trusts its certificate trusts what this machine
serves, and nothing else, since it may sign no further authority."""

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cluster.errors import StackError
from cluster.files import write_secret

_AUTHORITY_LASTS = timedelta(days=3650)
_LEAF_LASTS = timedelta(days=397)  # the longest that browsers accept; each start makes new ones
_SKEW = timedelta(minutes=5)  # clocks differ
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Authority:
    """A certificate that clients trust, and its key.

    path: the certificate's file, for the clients. replaces: it took the place of one that they
    trusted until it expired.
    """

    path: Path
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    replaces: bool = False

    @classmethod
    def kept_in(cls, folder: Path) -> Self:
        """Return the folder's authority, made on first use and anew once it has expired.

        Raise OSError, and StackError for one that is not whole: those who trust it would not trust
        another.
        """
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path, key_path = folder / "ca.pem", folder / "ca.key"
        if not path.exists():
            _make(path, key_path)
        try:
            replaces = _has_expired(path)
            if replaces:
                _make(path, key_path)
            return cls(path, *_pair(path, key_path), replaces)
        except (FileNotFoundError, TypeError, ValueError, UnsupportedAlgorithm) as error:
            raise StackError(
                f"{folder}: ca.pem and ca.key are damaged or no pair; restore both, or remove both "
                "and have the new ca.pem trusted",
                exit_status=2,
            ) from error

    def issue(self, path: Path, hosts: Sequence[str]) -> Path:
        """Write a certificate for these names and addresses, with its key, as one PEM file.

        It serves both ends of a connection, a server's and a client's.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        # No longer than the authority's.
        until = min(datetime.now(UTC) + _LEAF_LASTS, self.certificate.not_valid_after_utc)
        certificate = (
            _builder(_named(f"lesionserve {path.stem}"), self.certificate.subject, until)
            .public_key(key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([_host(h) for h in hosts]), critical=False)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                critical=False,
            )
            .sign(self.key, hashes.SHA256())
        )
        write_secret(path, _pem(key) + certificate.public_bytes(serialization.Encoding.PEM))
        return path


@dataclass(frozen=True)
class Certificates:
    """The certificates of one start.

    ca: the authority's, which clients trust. ingress, gateway: a certificate with its key.
    """

    ca: Path
    ingress: Path
    gateway: Path

    @classmethod
    def issue(cls, folder: Path, say: Callable[[str], None]) -> Self:
        """Issue new certificates by the folder's authority. Raise StackError where it cannot."""
        try:
            authority = Authority.kept_in(folder)
            ingress = authority.issue(folder / "ingress.pem", _LOOPBACK)
            gateway = authority.issue(folder / "gateway.pem", _LOOPBACK)
        except OSError as error:
            raise StackError(f"{folder}: {error}", exit_status=2) from error
        if authority.replaces:
            say(f"the authority had expired: clients have to trust {authority.path} anew")
        return cls(authority.path, ingress, gateway)


def _has_expired(path: Path) -> bool:
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    return certificate.not_valid_after_utc <= datetime.now(UTC)


def _pair(path: Path, key_path: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    key = serialization.load_pem_private_key(key_path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("a key of another kind")
    if key.public_key() != certificate.public_key():
        raise ValueError("the key of another certificate")
    return certificate, key


def _make(path: Path, key_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _named("lesionserve local authority")
    certificate = (
        _builder(name, name, datetime.now(UTC) + _AUTHORITY_LASTS)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_SIGNS_ONLY, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    # The certificate comes last: where it exists, the authority is complete.
    write_secret(key_path, _pem(key))
    write_secret(path, certificate.public_bytes(serialization.Encoding.PEM))


_SIGNS_ONLY = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def _builder(subject: x509.Name, issuer: x509.Name, until: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - _SKEW)
        .not_valid_after(until)
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
