import re
import secrets
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

import dj_database_url
from django.core.exceptions import ImproperlyConfigured
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FilePath,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from gateway.certificates import first_expiry
from pipeline.image.limits import DEFAULT_LIMITS, FORMATS, ImageLimits
from pipeline.tracing.spans import check_endpoint


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


# Of a key of gateway.access.token; its checksum is checked with the first request.
_API_KEY = re.compile("ls_[0-9a-f]{12}_[0-9a-f]{64}_[0-9a-f]{8}")

CommaSeparated = BeforeValidator(_split)
CommaSeparatedPairs = BeforeValidator(_pair)
Name = Annotated[str, Field(min_length=1)]


_CERTIFICATE_NAME = re.compile("[a-z0-9_]{1,40}")
_OWN_CERTIFICATES = ("upstream_ca", "upstream_certificate")


@dataclass(frozen=True, slots=True)
class Rates:
    """Requests a minute, for keys and organisations without a limit of their own."""

    caller: int
    organisation: int
    failures: int  # invalid credentials from one address


@dataclass(frozen=True, slots=True)
class ProbeSettings:
    """What the gateway's own probe sends its images with, as a client would.

    url: the public address. ca: the certificate to trust; None for the system's authorities.
    """

    url: str
    key: str = field(repr=False)
    ca: Path | None
    every_s: float


class Environment(BaseModel):
    """The gateway's settings from the environment; the aliases are the variables' names.

    Secrets have no default. Debug mode generates them for the life of the process.
    """

    # Error messages leave the values out: some of them are secret.
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    debug: bool = Field(False, alias="LESIONSERVE_DEBUG")
    secret_key: SecretStr | None = Field(None, alias="LESIONSERVE_SECRET_KEY", min_length=50)
    service_token: SecretStr | None = Field(None, alias="LESIONSERVE_SERVICE_TOKEN", min_length=32)
    upstream_url: str = Field("http://127.0.0.1:8000", alias="LESIONSERVE_UPSTREAM_URL")
    audit_key: SecretStr | None = Field(None, alias="LESIONSERVE_AUDIT_KEY", min_length=32)
    upstream_ca: FilePath | None = Field(None, alias="LESIONSERVE_UPSTREAM_CA")
    upstream_certificate: FilePath | None = Field(None, alias="LESIONSERVE_UPSTREAM_CERTIFICATE")
    other_certificates: Annotated[dict[str, Path], CommaSeparatedPairs] = Field(
        {}, alias="LESIONSERVE_CERTIFICATES", max_length=20
    )
    database_url: str = Field("sqlite:///lesionserve.sqlite3", alias="DATABASE_URL")
    allowed_hosts: Annotated[list[Name], CommaSeparated] = Field(
        ["localhost", "127.0.0.1", "[::1]"], alias="LESIONSERVE_ALLOWED_HOSTS", min_length=1
    )
    metrics: Annotated[list[str], CommaSeparated] | None = Field(
        None, alias="LESIONSERVE_METRICS_HOSTS"
    )
    deadline_s: float = Field(30.0, alias="LESIONSERVE_DEADLINE_S", gt=0, le=600)
    max_in_flight: int = Field(64, alias="LESIONSERVE_MAX_IN_FLIGHT", gt=0)
    idempotency_s: int = Field(600, alias="LESIONSERVE_IDEMPOTENCY_S", ge=0, le=86_400)
    redis_url: str | None = Field(None, alias="LESIONSERVE_REDIS_URL", pattern="^rediss?://")
    caller_rate: int = Field(6000, alias="LESIONSERVE_REQUESTS_PER_MINUTE", gt=0)
    organisation_rate: int = Field(
        12_000, alias="LESIONSERVE_ORGANISATION_REQUESTS_PER_MINUTE", gt=0
    )
    failure_rate: int = Field(30, alias="LESIONSERVE_FAILURES_PER_MINUTE", gt=0)
    probe_key: SecretStr | None = Field(None, alias="LESIONSERVE_PROBE_KEY")
    probe_url: str | None = Field(None, alias="LESIONSERVE_PROBE_URL")
    probe_ca: FilePath | None = Field(None, alias="LESIONSERVE_PROBE_CA")
    probe_every_s: float = Field(60.0, alias="LESIONSERVE_PROBE_EVERY_S", ge=1, le=300)
    alerts_token: SecretStr | None = Field(None, alias="LESIONSERVE_ALERTS_TOKEN", min_length=32)
    retention_days: int | None = Field(None, alias="LESIONSERVE_RETENTION_DAYS", ge=1, le=36_500)
    https_only: bool = Field(True, alias="LESIONSERVE_HTTPS_ONLY")
    image_formats: Annotated[tuple[str, ...], CommaSeparated] = Field(
        FORMATS, alias="LESIONSERVE_IMAGE_FORMATS", min_length=1
    )
    max_image_bytes: int = Field(
        DEFAULT_LIMITS.max_bytes, alias="LESIONSERVE_MAX_IMAGE_BYTES", gt=0, le=1 << 30
    )
    max_image_pixels: int = Field(
        DEFAULT_LIMITS.max_pixels, alias="LESIONSERVE_MAX_IMAGE_PIXELS", gt=0
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", alias="LESIONSERVE_LOG_LEVEL"
    )
    log_share: float = Field(1.0, alias="LESIONSERVE_LOG_SHARE", ge=0, le=1)
    otlp_endpoint: Annotated[str, AfterValidator(check_endpoint)] | None = Field(
        None, alias="LESIONSERVE_OTLP_ENDPOINT"
    )
    trace_share: float = Field(0.01, alias="LESIONSERVE_TRACE_SHARE", ge=0, le=1)

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> Self:
        """Return the settings. Raise ImproperlyConfigured, which names each variable that is
        missing or wrong.
        """
        names = [field.alias or "" for field in cls.model_fields.values()]
        try:
            return cls.model_validate(
                {name: variables[name] for name in names if name in variables}
            )
        except ValidationError as error:
            lines = [_line(details["loc"], details["msg"]) for details in error.errors()]
            raise ImproperlyConfigured("\n".join(lines)) from None

    @field_validator("upstream_url", "probe_url")
    @classmethod
    def _is_an_origin(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
            raise ValueError("an http:// or https:// URL is needed")
        return value.rstrip("/")

    @field_validator("probe_key")
    @classmethod
    def _is_an_api_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _API_KEY.fullmatch(value.get_secret_value()):
            raise ValueError("no API key; `gateway.manage issue_key --scope probe` issues one")
        return value

    @field_validator("image_formats")
    @classmethod
    def _are_known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not set(value) <= set(FORMATS):
            raise ValueError(f"each must be one of {', '.join(FORMATS)}")
        return value

    @field_validator("redis_url")
    @classmethod
    def _names_a_server(cls, value: str | None) -> str | None:
        if value is not None:
            parts = urlsplit(value)  # parsed here: errors of the client library show the password
            try:
                named = bool(parts.hostname) and parts.port != 0
            except ValueError:
                named = False
            if not named:
                raise ValueError("the host, or a port, of the server is missing or wrong")
        return value

    @field_validator("upstream_ca", "probe_ca")
    @classmethod
    def _holds_a_certificate(cls, value: Path | None) -> Path | None:
        if value is not None:
            try:
                ssl.create_default_context(cafile=str(value))
            except ssl.SSLError:
                raise ValueError("the file holds no certificate") from None
        return value

    @field_validator("upstream_certificate")
    @classmethod
    def _holds_certificate_and_key(cls, value: Path | None) -> Path | None:
        if value is not None:
            try:
                ssl.create_default_context().load_cert_chain(str(value))
            except ssl.SSLError:
                raise ValueError("the file does not hold a certificate with its key") from None
        return value

    @field_validator("other_certificates")
    @classmethod
    def _can_be_watched(cls, value: dict[str, Path]) -> dict[str, Path]:
        for name, path in value.items():
            if not _CERTIFICATE_NAME.fullmatch(name) or name in _OWN_CERTIFICATES:
                raise ValueError(
                    "write name=path,name=path; a name has up to 40 letters a to z, digits and _, "
                    f"and is none of {', '.join(_OWN_CERTIFICATES)}"
                )
            try:
                first_expiry(path)
            except OSError as error:
                raise ValueError(f"{name}: the file cannot be read: {error.strerror}") from None
            except ValueError:
                raise ValueError(f"{name}: the file holds no certificate") from None
        return value

    @field_validator("database_url")
    @classmethod
    def _is_a_known_database(cls, value: str) -> str:
        if not value.startswith(("sqlite:///", "postgres://", "postgresql://")):
            raise ValueError("a sqlite:/// or postgresql:// URL is needed")
        try:
            dj_database_url.parse(value)
        except ValueError:
            raise ValueError("the database URL cannot be read") from None
        return value

    @model_validator(mode="after")
    def _is_a_whole_probe(self) -> Self:
        if self.probe_key is None:
            if self.probe_url is not None or self.probe_ca is not None:
                raise ValueError(
                    "LESIONSERVE_PROBE_KEY: required with LESIONSERVE_PROBE_URL and "
                    "LESIONSERVE_PROBE_CA; without a key there is no probe"
                )
        elif self.probe_url is None:
            raise ValueError(
                "LESIONSERVE_PROBE_URL: required with LESIONSERVE_PROBE_KEY: the address that "
                "clients use"
            )
        elif self.https_only and urlsplit(self.probe_url).scheme == "http":
            raise ValueError(
                "LESIONSERVE_PROBE_URL: an https:// URL is needed, since this gateway refuses "
                "plain HTTP (LESIONSERVE_HTTPS_ONLY)"
            )
        return self

    @model_validator(mode="after")
    def _is_secure(self) -> Self:
        if self.debug:
            return self
        secret = {
            "LESIONSERVE_SECRET_KEY": self.secret_key,
            "LESIONSERVE_SERVICE_TOKEN": self.service_token,
            "LESIONSERVE_AUDIT_KEY": self.audit_key,
        }
        if missing := [name for name, value in secret.items() if value is None]:
            raise ValueError(f"{', '.join(missing)}: required outside debug mode")
        if "*" in self.allowed_hosts:
            raise ValueError("LESIONSERVE_ALLOWED_HOSTS: name the hosts; '*' is for debug mode")
        return self

    @property
    def metrics_hosts(self) -> list[str]:
        """Return the hosts under which /metrics answers.

        None where the variable is empty; the hosts of all other pages where it is not set.
        """
        if self.metrics is None:
            return self.allowed_hosts
        return [host for host in self.metrics if host]

    def certificates(self) -> dict[str, Path]:
        """Return the certificates whose expiry is watched, by name."""
        own = zip(_OWN_CERTIFICATES, (self.upstream_ca, self.upstream_certificate), strict=True)
        return {name: path for name, path in own if path is not None} | self.other_certificates

    @property
    def probe(self) -> ProbeSettings | None:
        """Return the settings of the probe; None where there is none."""
        if self.probe_key is None or self.probe_url is None:
            return None
        key = self.probe_key.get_secret_value()
        return ProbeSettings(self.probe_url, key, self.probe_ca, self.probe_every_s)

    @property
    def alerts(self) -> str | None:
        """Return the token of Alertmanager's webhook; None where no alerts are taken."""
        return None if self.alerts_token is None else self.alerts_token.get_secret_value()

    @property
    def rates(self) -> Rates:
        return Rates(self.caller_rate, self.organisation_rate, self.failure_rate)

    @property
    def image_limits(self) -> ImageLimits:
        return ImageLimits(
            formats=self.image_formats,
            max_bytes=self.max_image_bytes,
            max_pixels=self.max_image_pixels,
        )

    def databases(self) -> dict[str, Any]:
        """Return Django's DATABASES."""
        config: dict[str, Any] = dict(dj_database_url.parse(self.database_url))
        if config["ENGINE"] == "django.db.backends.sqlite3":
            config["NAME"] = str(Path(config["NAME"]).absolute())
            # IMMEDIATE takes the write lock at the start of a transaction, where waiting for it
            # works; a transaction that starts to write later would fail at once. WAL lets readers
            # continue meanwhile, and its default, synchronous=FULL, makes a committed row survive a
            # crash.
            config["OPTIONS"] = {
                "timeout": 5,
                "transaction_mode": "IMMEDIATE",
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL",
            }
        else:
            # Give up on a server that is gone, even in the middle of a statement.
            patience = {"connect_timeout": 5, "tcp_user_timeout": 10_000, "keepalives_idle": 10}
            config["OPTIONS"] = patience | config.get("OPTIONS", {})
        return {"default": config}

    def secret(self, value: SecretStr | None) -> str:
        """Return the secret; in debug mode, one generated for the life of this process."""
        if value is None:
            assert self.debug
            return secrets.token_urlsafe(48)
        return value.get_secret_value()


def _line(location: tuple[int | str, ...], message: str) -> str:
    message = message.removeprefix("Value error, ")
    message = message.replace("items after validation", "characters")  # of a secret
    return f"{location[0]}: {message}" if location else message
