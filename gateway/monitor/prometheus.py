from dataclasses import dataclass
from math import isfinite
from typing import Self

import httpx
from pydantic import BaseModel, ValidationError

# A page that shows the state of the service must not wait for what watches it.
_WITHIN_S = 2.0
_MAX_BYTES = 4 * 1024 * 1024


class PrometheusUnavailable(Exception):
    """Prometheus did not answer a query. `str(error)` says why, in one line."""


@dataclass(frozen=True, slots=True)
class Series:
    """The present value of one series, with its labels."""

    labels: dict[str, str]
    value: float


class _Result(BaseModel):
    metric: dict[str, str]
    value: tuple[float, float]  # the time, and the value at it


class _Data(BaseModel):
    result: list[_Result]


class _Answer(BaseModel):
    data: _Data


class Prometheus:
    """A client of Prometheus' HTTP API (`/api/v1`), for the operations page."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    @classmethod
    def connect(cls, url: str) -> Self:
        """Return a client of the server at `url`, with a connection pool."""
        return cls(httpx.AsyncClient(base_url=url, timeout=_WITHIN_S, trust_env=False))

    async def close(self) -> None:
        await self._client.aclose()

    async def query(self, expression: str) -> list[Series]:
        """Return the series of an expression now that have a finite value.

        Raise PrometheusUnavailable.
        """
        try:
            response = await self._client.post("/api/v1/query", data={"query": expression})
            response.raise_for_status()
            if len(response.content) > _MAX_BYTES:
                raise PrometheusUnavailable("Prometheus' answer is too large.")
            answer = _Answer.model_validate_json(response.content)
        except httpx.TimeoutException as error:
            raise PrometheusUnavailable("Prometheus did not answer in time.") from error
        except httpx.HTTPStatusError as error:
            status = error.response.status_code
            raise PrometheusUnavailable(f"Prometheus refused a query ({status}).") from error
        except httpx.HTTPError as error:
            raise PrometheusUnavailable("Prometheus cannot be reached.") from error
        except ValidationError as error:
            raise PrometheusUnavailable("Prometheus' answer cannot be read.") from error
        values = [Series(result.metric, result.value[1]) for result in answer.data.result]
        return [series for series in values if isfinite(series.value)]
