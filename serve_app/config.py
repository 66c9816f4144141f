from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ray.serve.schema import LoggingConfig, ServeDeploySchema

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


class Application(Strict):
    name: str
    route_prefix: str = "/"
    import_path: Literal["serve_app.app:build_app"]
    args: AppArgs


class Profile(Strict):
    """The content of a file in configs/serve, as `serve deploy` takes it.

    Every key is checked: Ray's own schema ignores unknown keys.
    """

    proxy_location: Literal["Disabled", "HeadOnly", "EveryNode"] = "EveryNode"
    http_options: HttpOptions = HttpOptions()
    logging_config: LoggingConfig = LoggingConfig()
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
        profile = Profile.model_validate(document)
        ServeDeploySchema.model_validate(document)
    except ValidationError as error:
        raise ConfigError(f"{path}: {_first(error)}") from error
    return profile


def _first(error: ValidationError) -> str:
    """Return where the first error is and why, such as `applications.0.name: Field required`.

    An unknown key comes first: when misspelt, it explains the key that is missing.
    """
    errors = error.errors(include_url=False)
    first = min(errors, key=lambda details: details["type"] != "extra_forbidden")
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
