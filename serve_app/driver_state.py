"""The states that the driver reports to the process that started it, as JSON lines on stdout."""

from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

_MARK = '{"state":'


class DriverState(StrEnum):
    """The states of a driver, in their order. A refused start reports none."""

    ACCEPTED = "accepted"  # the profile and the bundle are right; the report has the ingress's URL
    RAY_STARTED = "ray_started"
    READY = "ready"  # predictions are answered
    STOPPING = "stopping"  # a signal came; Ray is taken down in order


class DriverReport(BaseModel):
    """One line of the driver, such as `{"state":"ready"}`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    state: DriverState
    url: str | None = None

    @classmethod
    def read_all(cls, text: str) -> list[Self]:
        """Return the reports in a log. A line may begin with other output, or be half written."""
        reports = []
        for line in text.splitlines():
            _, mark, rest = line.partition(_MARK)
            try:
                reports += [cls.model_validate_json(mark + rest)] if mark else []
            except ValidationError:
                continue
        return reports

    def print(self) -> None:
        print(self.model_dump_json(exclude_none=True), flush=True)
