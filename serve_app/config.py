"""The profiles in configs/serve.

Reading one does not import Ray, which takes seconds, so that a wrong profile is refused at once.
"""

import logging
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from serve_app.args import AppArgs

_MAX_BYTES = 1_000_000


class ConfigError(Exception):
    """The profile cannot be used. `str(error)` names the file and the key."""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HttpOptions(Strict):
    """Ray's HTTPOptionsSchema, with the loopback address as the default host."""

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65535)
    keep_alive_timeout_s: int = Field(default=90, ge=1)
    request_timeout_s: float | None = Field(default=None, gt=0)
    ssl_keyfile: str | None = None
    ssl_certfile: str | None = None
    ssl_ca_certs: str | None = None

    @property
    def url(self) -> str:
        scheme = "http" if self.ssl_certfile is None else "https"
        return f"{scheme}://{self.host}:{self.port}"

    @model_validator(mode="after")
    def _whole_tls(self) -> Self:
        # With only one of the two, Ray would serve plain HTTP.
        if (self.ssl_keyfile is None) != (self.ssl_certfile is None):
            raise ValueError("ssl_keyfile and ssl_certfile belong together")
        return self


# What Python's logging can add to each line: Python 3.12 added the last.
_RECORD = logging.LogRecord("", logging.INFO, "", 0, "", (), None)
_RECORD_ATTRIBUTES = {*vars(_RECORD), "message", "asctime", "taskName"}


def _is_record_attribute(name: str) -> str:
    if name not in _RECORD_ATTRIBUTES:
        raise ValueError("no attribute of Python's log records")
    return name


class LoggingOptions(Strict):
    """Ray's LoggingConfig: the logs of Serve's controller, its proxies and the replicas."""

    encoding: Literal["TEXT", "JSON"] = "TEXT"
    log_level: int | str = "INFO"
    logs_dir: str | None = None
    enable_access_log: bool = True
    additional_log_standard_attrs: list[Annotated[str, AfterValidator(_is_record_attribute)]] = []

    @field_validator("log_level")
    @classmethod
    def _by_name(cls, level: int | str) -> str:
        levels = logging.getLevelNamesMapping()
        if isinstance(level, str) and level in levels:
            return level
        if level in levels.values():
            return logging.getLevelName(level)
        raise ValueError(f"one of {', '.join(levels)}")

    def for_ray(self) -> dict[str, Any]:
        """Return what the profile says; the rest is Ray's own default."""
        return self.model_dump(mode="json", exclude_unset=True)


class Application(Strict):
    name: str = Field(min_length=1)
    route_prefix: str = Field(default="/", pattern="^/([^{}]*[^{}/])?$")
    import_path: Literal["serve_app.app:build_app"]
    args: AppArgs


class Profile(Strict):
    """The content of a file in configs/serve, as `serve deploy` takes it.

    Every key is checked: Ray's own schema, ServeDeploySchema, ignores unknown keys.
    """

    proxy_location: Literal["Disabled", "HeadOnly", "EveryNode"] = "EveryNode"
    http_options: HttpOptions = HttpOptions()
    logging_config: LoggingOptions = LoggingOptions()
    applications: list[Application] = Field(min_length=1, max_length=1)

    @property
    def application(self) -> Application:
        return self.applications[0]


def load_profile(path: Path) -> Profile:
    """Read and check a profile.

    Raise ConfigError where the file is missing, is not YAML, or holds a wrong key or value.
    """
    return parse_profile(path, read_document(path))


def read_document(path: Path) -> Any:
    """Read a YAML file without checking its keys. Raise ConfigError."""
    try:
        with path.open("rb") as file:
            # As bytes: YAML detects the encoding. Bounded: a device file has no end.
            return yaml.safe_load(file.read(_MAX_BYTES))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML: {error}") from error


def parse_profile(path: Path, document: Any) -> Profile:
    """Check the document that was read from `path`. Raise ConfigError."""
    try:
        return Profile.model_validate(document)
    except ValidationError as error:
        raise ConfigError(f"{path}: {_first(error)}") from error


def _first(error: ValidationError) -> str:
    """Return where the first error is and why, such as `applications.0.name: Field required`.

    An unknown key comes first: when misspelt, it explains the key that is missing.
    """
    errors = error.errors(include_url=False)
    first = min(errors, key=lambda details: details["type"] != "extra_forbidden")
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
