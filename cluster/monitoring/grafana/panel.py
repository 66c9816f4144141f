from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    GraphDrawStyle,
    LegendDisplayMode,
    LegendPlacement,
    StackingMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    DataTransformerConfig,
    Threshold,
    ThresholdsConfig,
    ThresholdsMode,
)
from grafana_foundation_sdk.models.dashboard import Panel as GrafanaPanel
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

# Grafana's grid is 24 wide.
WIDTH = 8
HEIGHT = 8
SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")


class Kind(Enum):
    """How a panel draws its series: the latest value, lines, stacked bars, or rows of labels."""

    STAT = "stat"
    LINES = "lines"
    BARS = "bars"
    TABLE = "table"


@dataclass(frozen=True)
class Panel:
    """One panel of a dashboard.

    queries: PromQL by its legend; a legend may hold `{{label}}`. unit: Grafana's name of it, such
    as `s` or `percentunit`. A stat turns red from `limit` on, or below `floor`.
    """

    title: str
    queries: Mapping[str, str]
    unit: str
    description: str
    kind: Kind = Kind.LINES
    limit: float | None = None
    floor: float | None = None
    width: int = WIDTH

    def build(self, number: int) -> Builder[GrafanaPanel]:
        """Return the panel as Grafana's SDK has it. number: its id within the dashboard."""
        match self.kind:
            case Kind.STAT:
                return self._stat().id(number)
            case Kind.TABLE:
                return self._table().id(number)
            case Kind.LINES | Kind.BARS:
                return self._graph().id(number)

    def _stat(self) -> stat.Panel:
        panel = stat.Panel().color_mode(BigValueColorMode.VALUE).thresholds(self._thresholds())
        panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        for target in self._targets():
            panel.with_target(target.instant())
        return (
            panel.title(self.title)
            .description(self.description)
            .datasource(SOURCE)
            .unit(self.unit)
            .no_value("no data")
            .span(self.width)
            .height(HEIGHT // 2)
        )

    def _table(self) -> table.Panel:
        panel = table.Panel()
        for target in self._targets():
            panel.with_target(target.instant().format(PromQueryFormat.TABLE))
        return (
            panel.title(self.title)
            .description(self.description)
            .datasource(SOURCE)
            .unit(self.unit)
            .with_transformation(DataTransformerConfig(id_val="organize", options=_WITHOUT_TIME))
            .span(self.width)
            .height(HEIGHT)
        )

    def _graph(self) -> timeseries.Panel:
        panel = timeseries.Panel()
        for target in self._targets():
            panel.with_target(target.range())
        if self.kind is Kind.BARS:
            stacked = common.StackingConfig().mode(StackingMode.NORMAL)
            panel.draw_style(GraphDrawStyle.BARS).fill_opacity(70).stacking(stacked)
        legend = common.VizLegendOptions().show_legend(True).display_mode(LegendDisplayMode.LIST)
        return (
            panel.title(self.title)
            .description(self.description)
            .datasource(SOURCE)
            .unit(self.unit)
            .axis_soft_min(0)
            .show_points(VisibilityMode.AUTO)
            .legend(legend.placement(LegendPlacement.BOTTOM))
            .span(self.width)
            .height(HEIGHT)
        )

    def _targets(self) -> list[prometheus.Dataquery]:
        return [
            prometheus.Dataquery()
            .expr(expression)
            .legend_format(legend)
            .ref_id(chr(ord("A") + number))
            .datasource(SOURCE)
            for number, (legend, expression) in enumerate(self.queries.items())
        ]

    def _thresholds(self) -> Builder[ThresholdsConfig]:
        steps = [Threshold(value=None, color="green")]
        if self.limit is not None:
            steps.append(Threshold(value=self.limit, color="red"))
        elif self.floor is not None:
            steps = [Threshold(value=None, color="red"), Threshold(self.floor, "green")]
        return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


_WITHOUT_TIME = {"excludeByName": {"Time": True}}
