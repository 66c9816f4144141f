"""The states that the driver reports to the process that started it, as JSON lines on stdout."""

from enum import StrEnum

from pipeline.engines.base import Precision
from serve_app.state_line import StateLine


class DriverState(StrEnum):
    """The states that the driver reports, in order; none if its command line is wrong."""

    ACCEPTED = "accepted"  # the profile and the bundle are right; the report has the ingress's URL
    RAY_STARTED = "ray_started"
    READY = "ready"  # predictions are answered
    STOPPING = "stopping"  # a signal came; Ray is taken down in order
    FAILED = "failed"  # the start failed; the report has the reason


class DriverReport(StateLine):
    """One line of the driver, such as `{"state":"ready"}`."""

    state: DriverState
    url: str | None = None
    chosen_precision: Precision | None = None  # where the profile leaves it to the bundle
    error: str | None = None
