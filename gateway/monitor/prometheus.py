from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

import httpx
from pydantic import BaseModel, Field, ValidationError

# A page that shows the state of the service must not wait for what watches it.
_WITHIN_S = 2.0
_MAX_BYTES = 4 * 1024 * 1024


class PrometheusUnavailable(Exception):
    """Prometheus did not answer a query. `str(error)` says why, in one line."""


@dataclass(frozen=True, slots=True)
class Series:
    """The values of one series, by time (Unix seconds), with its labels."""

    labels: dict[str, str]
    points: tuple[tuple[float, float], ...]

    @property
    def value(self) -> float:
        """Return the latest value."""
        return self.points[-1][1]


class _Result(BaseModel):
    metric: dict[str, str]
    value: tuple[float, float] | None = None
    values: list[tuple[float, float]] = Field(default_factory=list)


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
        """Return the series of an expression now. Raise PrometheusUnavailable."""
        return await self._get("query", {"query": expression})

    async def query_range(
        self, expression: str, end: datetime, length: timedelta, step: timedelta
    ) -> list[Series]:
        """Return the series of an expression over `length` until `end`, a point each `step`.

        Raise PrometheusUnavailable.
        """
        parameters = {
            "query": expression,
            "start": f"{(end - length).timestamp():.0f}",
            "end": f"{end.timestamp():.0f}",
            "step": f"{step.total_seconds():.0f}",
        }
        return await self._get("query_range", parameters)

    async def _get(self, name: str, parameters: dict[str, str]) -> list[Series]:
        try:
            response = await self._client.post(f"/api/v1/{name}", data=parameters)
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
        return [_series(result) for result in answer.data.result if result.value or result.values]


def _series(result: _Result) -> Series:
    points = result.values if result.value is None else [result.value]
    return Series(result.metric, tuple(points))
