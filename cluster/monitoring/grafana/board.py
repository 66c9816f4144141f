from dataclasses import dataclass
from itertools import count

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync, DashboardLinkType

from cluster.monitoring.grafana.panel import Panel

_TAG = "lesionserve"


@dataclass(frozen=True)
class Section:
    """A row of a dashboard: a heading, and panels below it."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Board:
    """One dashboard. uid: stable, since Grafana's links name it."""

    uid: str
    title: str
    description: str
    sections: tuple[Section, ...]

    @property
    def panels(self) -> tuple[Panel, ...]:
        return tuple(panel for section in self.sections for panel in section.panels)

    def json(self) -> str:
        """Return the dashboard as the file that Grafana provisions; the same bytes each time."""
        board = (
            dashboard.Dashboard(self.title)
            .uid(self.uid)
            .description(self.description)
            .tags([_TAG])
            .readonly()
            .timezone("browser")
            .time("now-6h", "now")
            .refresh("30s")
            .tooltip(DashboardCursorSync.CROSSHAIR)
            .with_variable(dashboard.DatasourceVariable("datasource").type("prometheus"))
            .link(_siblings())
        )
        numbers = count(1)
        for section in self.sections:
            board.with_row(dashboard.Row(section.title).id(next(numbers)))
            for panel in section.panels:
                board.with_panel(panel.build(next(numbers)))
        return JSONEncoder(sort_keys=True, indent=1).encode(board.build()) + "\n"


def _siblings() -> dashboard.DashboardLink:
    """Return a menu of the dashboards with our tag."""
    link = dashboard.DashboardLink("lesionserve").type(DashboardLinkType.DASHBOARDS)
    return link.tags([_TAG]).as_dropdown(False).keep_time(True)
