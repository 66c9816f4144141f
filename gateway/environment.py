import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

import dj_database_url
from django.core.exceptions import ImproperlyConfigured
from pydantic import Field, SecretStr, ValidationError, model_validator

from gateway.sign_in_variables import SignInVariables
from gateway.variables import (
    OWN_CERTIFICATES,
    ApiKeySecret,
    AuthorityFile,
    CertificateFile,
    Certificates,
    DatabaseUrl,
    Formats,
    FrameAncestors,
    Hosts,
    Names,
    Origin,
    OtlpEndpoint,
    RedisUrl,
)
from pipeline.image.limits import DEFAULT_LIMITS, FORMATS, ImageLimits
from pipeline.secret_files import SecretFileError, read_secret_files

# Each may be given as a file instead, by the variable NAME_FILE.
SECRETS = (
    "LESIONSERVE_SECRET_KEY",
    "LESIONSERVE_SERVICE_TOKEN",
    "LESIONSERVE_AUDIT_KEY",
    "DATABASE_URL",
    "LESIONSERVE_REDIS_URL",
    "LESIONSERVE_PROBE_KEY",
    "LESIONSERVE_ALERTS_TOKEN",
    "LESIONSERVE_OIDC_CLIENT_SECRET",
)


@dataclass(frozen=True, slots=True)
class Rates:
    """Requests a minute, for keys and organisations without a limit of their own."""

    caller: int
    organisation: int
    failures: int  # invalid credentials from one address
    address: int | None = None  # requests from one address; None: no limit


@dataclass(frozen=True, slots=True)
class ProbeSettings:
    """What the gateway's own probe sends its images with, as a client would.

    url: the public address. ca: the certificate to trust; None for the system's authorities.
    """

    url: str
    key: str = field(repr=False)
    ca: Path | None
    every_s: float


class Environment(SignInVariables):
    """The gateway's settings from the environment; the aliases are the variables' names.

    Secrets have no default. Debug mode generates them for the life of the process.
    """

    debug: bool = Field(False, alias="LESIONSERVE_DEBUG")
    secret_key: SecretStr | None = Field(None, alias="LESIONSERVE_SECRET_KEY", min_length=50)
    service_token: SecretStr | None = Field(None, alias="LESIONSERVE_SERVICE_TOKEN", min_length=32)
    upstream_url: Origin = Field("http://127.0.0.1:8000", alias="LESIONSERVE_UPSTREAM_URL")
    audit_key: SecretStr | None = Field(None, alias="LESIONSERVE_AUDIT_KEY", min_length=32)
    upstream_ca: AuthorityFile | None = Field(None, alias="LESIONSERVE_UPSTREAM_CA")
    upstream_certificate: CertificateFile | None = Field(
        None, alias="LESIONSERVE_UPSTREAM_CERTIFICATE"
    )
    other_certificates: Certificates = Field({}, alias="LESIONSERVE_CERTIFICATES", max_length=20)
    database_url: DatabaseUrl = Field("sqlite:///lesionserve.sqlite3", alias="DATABASE_URL")
    allowed_hosts: Names = Field(
        ["localhost", "127.0.0.1", "[::1]"], alias="LESIONSERVE_ALLOWED_HOSTS", min_length=1
    )
    metrics: Hosts | None = Field(None, alias="LESIONSERVE_METRICS_HOSTS")
    deadline_s: float = Field(30.0, alias="LESIONSERVE_DEADLINE_S", gt=0, le=600)
    max_in_flight: int = Field(64, alias="LESIONSERVE_MAX_IN_FLIGHT", gt=0)
    idempotency_s: int = Field(600, alias="LESIONSERVE_IDEMPOTENCY_S", ge=0, le=86_400)
    redis_url: RedisUrl | None = Field(None, alias="LESIONSERVE_REDIS_URL")
    caller_rate: int = Field(6000, alias="LESIONSERVE_REQUESTS_PER_MINUTE", gt=0)
    organisation_rate: int = Field(
        12_000, alias="LESIONSERVE_ORGANISATION_REQUESTS_PER_MINUTE", gt=0
    )
    address_rate: int | None = Field(None, alias="LESIONSERVE_ADDRESS_REQUESTS_PER_MINUTE", gt=0)
    failure_rate: int = Field(30, alias="LESIONSERVE_FAILURES_PER_MINUTE", gt=0)
    probe_key: ApiKeySecret | None = Field(None, alias="LESIONSERVE_PROBE_KEY")
    probe_url: Origin | None = Field(None, alias="LESIONSERVE_PROBE_URL")
    probe_ca: AuthorityFile | None = Field(None, alias="LESIONSERVE_PROBE_CA")
    probe_every_s: float = Field(60.0, alias="LESIONSERVE_PROBE_EVERY_S", ge=1, le=300)
    prometheus_url: str | None = Field(
        None, alias="LESIONSERVE_PROMETHEUS_URL", pattern="^https?://[^/?#@]+(/[^?#]*)?$"
    )
    alerts_token: SecretStr | None = Field(None, alias="LESIONSERVE_ALERTS_TOKEN", min_length=32)
    retention_days: int | None = Field(None, alias="LESIONSERVE_RETENTION_DAYS", ge=1, le=36_500)
    observation_days: int = Field(90, alias="LESIONSERVE_OBSERVATION_DAYS", ge=1, le=3650)
    watch_alpha: float = Field(0.05, alias="LESIONSERVE_WATCH_ALPHA", ge=0.0001, le=0.5)
    https_only: bool = Field(True, alias="LESIONSERVE_HTTPS_ONLY")
    frame_ancestors: FrameAncestors = Field([], alias="LESIONSERVE_FRAME_ANCESTORS", max_length=20)
    demo_key: ApiKeySecret | None = Field(None, alias="LESIONSERVE_PUBLIC_DEMO_KEY")
    image_formats: Formats = Field(FORMATS, alias="LESIONSERVE_IMAGE_FORMATS", min_length=1)
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
    otlp_endpoint: OtlpEndpoint | None = Field(None, alias="LESIONSERVE_OTLP_ENDPOINT")
    trace_share: float = Field(0.01, alias="LESIONSERVE_TRACE_SHARE", ge=0, le=1)

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> Self:
        """Return the settings. Raise ImproperlyConfigured, which names each variable that is
        missing or wrong.
        """
        names = [field.alias or "" for field in cls.model_fields.values()]
        try:
            values = read_secret_files(variables, SECRETS)
            return cls.model_validate({name: values[name] for name in names if name in values})
        except SecretFileError as error:
            raise ImproperlyConfigured(str(error)) from None
        except ValidationError as error:
            lines = [_line(details["loc"], details["msg"]) for details in error.errors()]
            raise ImproperlyConfigured("\n".join(lines)) from None

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
    def _demo_keeps_nothing(self) -> Self:
        if self.demo_key is None:
            return self
        needed = {
            "LESIONSERVE_ADDRESS_REQUESTS_PER_MINUTE set": self.address_rate is not None,
            "LESIONSERVE_IDEMPOTENCY_S=0": self.idempotency_s == 0,
            "LESIONSERVE_METRICS_HOSTS empty": self.metrics_hosts == [],
            "LESIONSERVE_DEBUG off": not self.debug,
        }
        if missing := [setting for setting, is_given in needed.items() if not is_given]:
            raise ValueError(
                "LESIONSERVE_PUBLIC_DEMO_KEY: everybody may use a public demo, so it needs "
                f"{', '.join(missing)}; `lesionserve up --public-demo` sets them"
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
        own = zip(OWN_CERTIFICATES, (self.upstream_ca, self.upstream_certificate), strict=True)
        return {name: path for name, path in own if path is not None} | self.other_certificates

    @property
    def probe(self) -> ProbeSettings | None:
        """Return the settings of the probe; None where there is none."""
        if self.probe_key is None or self.probe_url is None:
            return None
        key = self.probe_key.get_secret_value()
        return ProbeSettings(self.probe_url, key, self.probe_ca, self.probe_every_s)

    @property
    def public_demo_key(self) -> str | None:
        """Return the key that the pages of a public demo show; None for every other gateway."""
        return None if self.demo_key is None else self.demo_key.get_secret_value()

    @property
    def alerts(self) -> str | None:
        """Return the token of Alertmanager's webhook; None where no alerts are taken."""
        return None if self.alerts_token is None else self.alerts_token.get_secret_value()

    @property
    def rates(self) -> Rates:
        return Rates(self.caller_rate, self.organisation_rate, self.failure_rate, self.address_rate)

    @property
    def image_limits(self) -> ImageLimits:
        return ImageLimits(
            formats=self.image_formats,
            max_bytes=self.max_image_bytes,
            max_pixels=self.max_image_pixels,
        )

    @property
    def is_database_given(self) -> bool:
        """Return whether DATABASE_URL is set; otherwise the default is in the working folder."""
        return "database_url" in self.model_fields_set

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
