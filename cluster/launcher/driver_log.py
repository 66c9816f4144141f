from cluster.launcher.process_log import ProcessLog
from pipeline.engines.base import Precision
from serve_app.driver_state import DriverReport, DriverState


class DriverLog(ProcessLog):
    """The output of the Ray Serve driver, with the states that it reports in it."""

    @property
    def ingress_url(self) -> str | None:
        """Return the ingress's URL; None until the profile and the bundle are accepted."""
        urls = [report.url for report in self._reports if report.state is DriverState.ACCEPTED]
        return urls[-1] if urls else None

    @property
    def chosen_precision(self) -> Precision | None:
        """Return the precision that the bundle's manifest chose; None where the profile names it.

        It is None until the bundle is accepted, too.
        """
        return next((report.chosen_precision for report in self._reports), None)

    @property
    def failure_reason(self) -> str:
        """Return the reason of the driver's own report; without one, the last line."""
        errors = [report.error for report in self._reports if report.error is not None]
        return errors[-1] if errors else super().failure_reason

    def has_reported(self, state: DriverState) -> bool:
        return any(report.state is state for report in self._reports)

    @property
    def _reports(self) -> list[DriverReport]:
        return DriverReport.read_all(self.text)
