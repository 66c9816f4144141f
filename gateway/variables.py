"""The types of the settings' values, each with its own check and its own words for a wrong one."""

import ipaddress
import re
import ssl
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import dj_database_url
from pydantic import AfterValidator, BeforeValidator, Field, FilePath, SecretStr

from gateway.certificates import first_expiry
from pipeline.image.limits import FORMATS
from pipeline.tracing.spans import check_endpoint

# The names of the certificates that have settings of their own.
OWN_CERTIFICATES = ("upstream_ca", "upstream_certificate")

_CERTIFICATE_NAME = re.compile("[a-z0-9_]{1,40}")
# Of a key of gateway.access.token; its checksum is checked with the first request.
_API_KEY = re.compile("ls_[0-9a-f]{12}_[0-9a-f]{64}_[0-9a-f]{8}")
_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
# The last label has a letter: browsers match no IP address in `frame-ancestors`.
_FRAME_ANCESTOR = re.compile(rf"https://({_LABEL}\.)*(?=[0-9-]*[a-z]){_LABEL}(:[1-9][0-9]{{0,4}})?")


def is_this_machine(host: str) -> bool:
    """Return whether a host name or an address is that of the loopback."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _split(value: object) -> object:
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def _pair(value: object) -> object:
    """Return the names and values of `name=value,name=value`."""
    if not isinstance(value, str):
        return value
    pairs = [part.partition("=") for part in value.split(",") if part.strip()]
    if len({name.strip() for name, _, _ in pairs}) < len(pairs):
        raise ValueError("a name is there twice")
    return {name.strip(): path.strip() for name, _, path in pairs}


def _check_origin(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
        raise ValueError("an http:// or https:// URL is needed")
    return value.rstrip("/")


def _check_frame_ancestors(value: list[str]) -> list[str]:
    origins = [] if value == [""] else value
    for origin in origins:
        port = origin.rpartition(":")[2]
        if not _FRAME_ANCESTOR.fullmatch(origin) or (port.isdigit() and int(port) > 65535):
            raise ValueError(
                "write origins such as https://portal.example or https://portal.example:8443, "
                "separated by commas: https, a host name in lower case, and no path, wildcard or "
                "IP address; an empty value allows no frame"
            )
    return origins


def _check_api_key(value: SecretStr) -> SecretStr:
    if not _API_KEY.fullmatch(value.get_secret_value()):
        raise ValueError("no API key; `gateway.manage issue_key --scope probe` issues one")
    return value


def _check_formats(value: tuple[str, ...]) -> tuple[str, ...]:
    if not set(value) <= set(FORMATS):
        raise ValueError(f"each must be one of {', '.join(FORMATS)}")
    return value


def _check_redis(value: str) -> str:
    parts = urlsplit(value)  # parsed here: errors of the client library show the password
    try:
        named = bool(parts.hostname) and parts.port != 0
    except ValueError:
        named = False
    if not named:
        raise ValueError("the host, or a port, of the server is missing or wrong")
    return value


def _check_authority(value: Path) -> Path:
    try:
        ssl.create_default_context(cafile=str(value))
    except ssl.SSLError:
        raise ValueError("the file holds no certificate") from None
    return value


def _check_certificate_with_key(value: Path) -> Path:
    try:
        ssl.create_default_context().load_cert_chain(str(value))
    except ssl.SSLError:
        raise ValueError("the file does not hold a certificate with its key") from None
    return value


def _check_watched(value: dict[str, Path]) -> dict[str, Path]:
    for name, path in value.items():
        if not _CERTIFICATE_NAME.fullmatch(name) or name in OWN_CERTIFICATES:
            raise ValueError(
                "write name=path,name=path; a name has up to 40 letters a to z, digits and _, "
                f"and is none of {', '.join(OWN_CERTIFICATES)}"
            )
        try:
            first_expiry(path)
        except OSError as error:
            raise ValueError(f"{name}: the file cannot be read: {error.strerror}") from None
        except ValueError:
            raise ValueError(f"{name}: the file holds no certificate") from None
    return value


def _check_database(value: str) -> str:
    if not value.startswith(("sqlite:///", "postgres://", "postgresql://")):
        raise ValueError("a sqlite:/// or postgresql:// URL is needed")
    try:
        dj_database_url.parse(value)
    except ValueError:
        raise ValueError("the database URL cannot be read") from None
    return value


Name = Annotated[str, Field(min_length=1)]
Names = Annotated[list[Name], BeforeValidator(_split)]
Hosts = Annotated[list[str], BeforeValidator(_split)]
FrameAncestors = Annotated[
    list[str], BeforeValidator(_split), AfterValidator(_check_frame_ancestors)
]
Formats = Annotated[tuple[str, ...], BeforeValidator(_split), AfterValidator(_check_formats)]
Origin = Annotated[str, AfterValidator(_check_origin)]
ApiKeySecret = Annotated[SecretStr, AfterValidator(_check_api_key)]
RedisUrl = Annotated[str, Field(pattern="^rediss?://"), AfterValidator(_check_redis)]
DatabaseUrl = Annotated[str, AfterValidator(_check_database)]
AuthorityFile = Annotated[FilePath, AfterValidator(_check_authority)]
CertificateFile = Annotated[FilePath, AfterValidator(_check_certificate_with_key)]
Certificates = Annotated[dict[str, Path], BeforeValidator(_pair), AfterValidator(_check_watched)]
OtlpEndpoint = Annotated[str, AfterValidator(check_endpoint)]
