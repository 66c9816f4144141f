import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx
import typer
from pydantic import ValidationError

from pipeline.errors import ServiceError
from pipeline.schemas import Prediction, PredictOptions, Problem

# A prediction may wait in a queue; the gateway's own deadline is shorter than this.
REMOTE_TIMEOUT_S = 120

# Read here rather than by the option, so that the variable alone does not choose a gateway.
KEY_VARIABLE = "LESIONSERVE_API_KEY"


@dataclass(frozen=True)
class RemoteGateway:
    """A gateway. Its certificate is always verified; `ca` names a private authority."""

    url: str | None
    key: str | None
    ca: Path | None

    @classmethod
    def of(cls, url: str | None, key: str | None, ca: Path | None) -> Self:
        """Return the gateway at `url`.

        If a URL is given without a key, the key is that of LESIONSERVE_API_KEY.
        """
        return cls(url, key if url is None else key or os.environ.get(KEY_VARIABLE), ca)


def trust(ca: Path | None) -> ssl.SSLContext:
    """Return a context that accepts the system's authorities, or `ca` alone.

    Raise typer.BadParameter (exit code 2) for a `ca` that cannot be read.
    """
    try:
        return ssl.create_default_context(cafile=None if ca is None else str(ca))
    except (OSError, ssl.SSLError) as error:
        raise typer.BadParameter(f"--ca: cannot read {ca}: {error.strerror}") from error


def ask(
    client: httpx.Client, remote: RemoteGateway, data: bytes, options: PredictOptions
) -> Prediction:
    """Post one image to a gateway. Raise ServiceError with the gateway's own reason."""
    assert remote.url is not None
    try:
        response = client.post(
            f"{remote.url.rstrip('/')}/predict/",
            params=options.model_dump(exclude_none=True),
            files={"file": ("image", data)},
            headers={"Authorization": f"Api-Key {remote.key}"},
        )
        response.raise_for_status()
        return Prediction.model_validate_json(response.content, extra="ignore")
    except httpx.HTTPStatusError as error:
        raise ServiceError(_describe(error.response)) from error
    except httpx.HTTPError as error:
        raise ServiceError(f"cannot reach the gateway: {error}") from error
    except ValidationError as error:
        raise ServiceError("the gateway's answer is not a prediction") from error


def _describe(response: httpx.Response) -> str:
    try:
        problem = Problem.model_validate_json(response.content, extra="ignore")
    except ValidationError:
        return f"the gateway answered {response.status_code}"
    return f"{problem.title}: {problem.detail} (HTTP {problem.status}, {problem.request_id})"
