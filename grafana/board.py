"""A dashboard under construction: every panel of it looks and links alike."""

from collections.abc import Sequence
from typing import Final

from grafana_foundation_sdk.builders import common
from grafana_foundation_sdk.builders.bargauge import Panel as BarGauge
from grafana_foundation_sdk.builders.dashboard import (
    Dashboard,
    DashboardLink,
    DatasourceVariable,
    QueryVariable,
    Row,
    TextBoxVariable,
)
from grafana_foundation_sdk.builders.heatmap import HeatmapColorOptions, YAxisConfig
from grafana_foundation_sdk.builders.heatmap import Panel as Heatmap
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.table import Panel as Table
from grafana_foundation_sdk.builders.timeseries import Panel as Graph
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as shapes
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    DynamicConfigValue,
    MatcherConfig,
    VariableRefresh,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from grafana.looks import lines, merged, thresholds
from grafana.query import Query

SOURCE: Final = DataSourceRef(type_val="prometheus", uid="${datasource}")
RUNBOOKS: Final = "https://headrace.example.org/docs/runbooks"
"""Where the runbooks can be read; a variable of each dashboard."""

PALETTE: Final = ("green", "orange", "red")
AnyPanel = Stat | Graph | Table | Heatmap | BarGauge


class Board:
    """Takes panels in reading order; their ids are given by hand, so that links stay true."""

    def __init__(self, uid: str, title: str, description: str) -> None:
        """Begin a dashboard that is found by its uid."""
        self.uid = uid
        self._ids: set[int] = set()
        self._dashboard = (
            Dashboard(title)
            .uid(uid)
            .description(description)
            .tags(["headrace"])
            .time("now-3h", "now")
            .refresh("30s")
            .timezone("browser")
            .readonly()
            .tooltip(DashboardCursorSync.CROSSHAIR)
            .link(
                DashboardLink("headrace")
                .type(DashboardLinkType.DASHBOARDS)
                .tags(["headrace"])
                .keep_time(keep_time=True)
            )
            .with_variable(DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
            .with_variable(TextBoxVariable("runbooks").label("Runbooks").default_value(RUNBOOKS))
        )

    def choice(self, name: str, label: str, metric: str) -> None:
        """Let the reader choose values of a label; all at first."""
        self._dashboard.with_variable(
            QueryVariable(name)
            .label(label)
            .datasource(SOURCE)
            .query(f"label_values({metric}, {name})")
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
            .multi(multi=True)
            .include_all(include_all=True)
            .all_value(".*")
        )

    def row(self, number: int, title: str) -> None:
        """Begin a row."""
        self._dashboard.with_row(Row(title).id(self._taken(number)))

    def stat(
        self,
        number: int,
        title: str,
        description: str,
        query: Query,
        unit: str,
        *,
        limits: Sequence[float] = (),
        colours: Sequence[str] = PALETTE,
        width: int = 3,
        empty: str | None = None,
        runbook: str | None = None,
    ) -> None:
        """Add a figure.

        Args:
            number: id of the panel, never given to another.
            title: what it shows.
            description: how to read it.
            query: gives the figure (with several series: several figures).
            unit: Grafana's id of it.
            limits: from which on the next of the colours is right.
            colours: of it below the first limit, from it on, and so on.
            width: of 24 columns.
            empty: shown when there is no value, where that is no fault.
            runbook: the alert whose runbook it is linked to.
        """
        panel = (
            Stat()
            .unit(unit)
            .thresholds(thresholds(limits, colours))
            .graph_mode(shapes.BigValueGraphMode.AREA)
            .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
            .color_mode(
                shapes.BigValueColorMode.BACKGROUND if limits else shapes.BigValueColorMode.VALUE
            )
        )
        if empty is not None:
            panel.no_value(empty)
        self._add(panel, number, title, description, [query], (width, 4), runbook)

    def graph(
        self,
        number: int,
        title: str,
        description: str,
        queries: Query | list[Query],
        unit: str,
        *,
        stacked: bool = False,
        limits: Sequence[float] = (),
        colours: Sequence[str] = PALETTE,
        width: int = 8,
        top: float | None = None,
        runbook: str | None = None,
    ) -> None:
        """Add lines over time; arguments as of ``stat``, and ``top``: the axis ends there."""
        panel = lines(stacked=stacked).unit(unit)
        if limits:
            panel.thresholds(thresholds(limits, ("transparent", *colours[1:])))
            panel.thresholds_style(
                common.GraphThresholdsStyleConfig().mode(shapes.GraphThresholdsStyleMode.DASHED)
            )
        if top is not None:
            panel.max(top)
        given = queries if isinstance(queries, list) else [queries]
        self._add(panel, number, title, description, given, (width, 8), runbook)

    def heatmap(
        self, number: int, title: str, description: str, histogram: str, *, width: int = 8
    ) -> None:
        """Add the spread of a histogram, in seconds, over time."""
        panel = (
            Heatmap()
            .unit("s")
            .calculate(calculate=False)
            .color(HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Blues"))
            .y_axis(YAxisConfig().unit("s"))
            .cell_gap(1)
        )
        query = Query(
            f"sum by (le) (increase({histogram}[$__rate_interval]))",
            "{{le}}",
            PromQueryFormat.HEATMAP,
        )
        self._add(panel, number, title, description, [query], (width, 8), None)

    def bars(
        self,
        number: int,
        title: str,
        description: str,
        query: Query,
        unit: str,
        *,
        top: float | None = None,
        width: int = 8,
        empty: str | None = None,
    ) -> None:
        """Add one bar for each series; ``top`` is a full one."""
        panel = BarGauge().unit(unit).min(0).orientation(shapes.VizOrientation.HORIZONTAL)
        panel.display_mode(shapes.BarGaugeDisplayMode.BASIC)
        panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        if top is not None:
            panel.max(top)
        if empty is not None:
            panel.no_value(empty)
        self._add(panel, number, title, description, [query], (width, 8), None)

    def table(
        self,
        number: int,
        title: str,
        description: str,
        columns: dict[str, Query],
        units: dict[str, str],
        *,
        labels: Sequence[str],
        width: int = 12,
        height: int = 8,
        runbook: str | None = None,
    ) -> None:
        """Add a table with a line for each set of labels.

        Args:
            number: id of the panel.
            title: what it shows.
            description: how to read it.
            columns: their names, and what gives their values.
            units: of the columns.
            labels: shown as columns as well; they are the same in all queries.
            width: of 24 columns.
            height: in units of the grid.
            runbook: the alert whose runbook it is linked to.
        """
        panel = Table().unit(next(iter(units.values()))).no_value("-")
        queries = [
            Query(query.expr, query.legend, PromQueryFormat.TABLE) for query in columns.values()
        ]
        for transformation in merged(list(columns), labels):
            panel.with_transformation(transformation)
        for name in columns:
            panel.with_override(
                MatcherConfig(id_val="byName", options=name),
                [DynamicConfigValue(id_val="unit", value=units[name])],
            )
        self._add(panel, number, title, description, queries, (width, height), runbook)

    def json(self) -> str:
        """Give the dashboard as Grafana reads it."""
        # Through the encoder of the SDK: its objects know their names in JSON.
        return JSONEncoder(indent=2, sort_keys=True).encode(self._dashboard.build()) + "\n"

    def _taken(self, number: int) -> int:
        if number in self._ids:
            raise ValueError(f"{self.uid}: two panels have the id {number}")
        self._ids.add(number)
        return number

    def _add(
        self,
        panel: AnyPanel,
        number: int,
        title: str,
        description: str,
        queries: list[Query],
        size: tuple[int, int],
        runbook: str | None,
    ) -> None:
        panel.id(self._taken(number)).title(title).description(description).datasource(SOURCE)
        panel.span(size[0]).height(size[1])
        now = isinstance(panel, Table | BarGauge)
        for place, query in enumerate(queries):
            target = (
                Dataquery()
                .expr(query.expr)
                .legend_format(query.legend)
                .ref_id(chr(ord("A") + place))
                .format(query.format)
                .datasource(SOURCE)
            )
            panel.with_target(target.instant() if now else target.range())
        if runbook is not None:
            link = DashboardLink(f"Runbook {runbook}").type(DashboardLinkType.LINK)
            panel.links([link.url(f"${{runbooks}}/{runbook}.md").target_blank(target_blank=True)])
        self._dashboard.with_panel(panel)
