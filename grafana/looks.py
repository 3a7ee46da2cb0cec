"""How panels look, apart from what they show."""

from collections.abc import Sequence

from grafana_foundation_sdk.builders import common
from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.builders.timeseries import Panel as Graph
from grafana_foundation_sdk.models import common as shapes
from grafana_foundation_sdk.models.dashboard import (
    DataTransformerConfig,
    Threshold,
    ThresholdsMode,
)


def lines(*, stacked: bool) -> Graph:
    """Begin a panel of lines over time."""
    panel = (
        Graph()
        .min(0)
        .fill_opacity(25 if stacked else 8)
        .line_width(1)
        .show_points(shapes.VisibilityMode.NEVER)
        .legend(
            common.VizLegendOptions()
            .show_legend(show_legend=True)
            .display_mode(shapes.LegendDisplayMode.LIST)
            .placement(shapes.LegendPlacement.BOTTOM)
        )
        .tooltip(
            common.VizTooltipOptions()
            .mode(shapes.TooltipDisplayMode.MULTI)
            .sort(shapes.SortOrder.DESCENDING)
        )
    )
    if stacked:
        panel.stacking(common.StackingConfig().mode(shapes.StackingMode.NORMAL))
    return panel


def merged(columns: Sequence[str], labels: Sequence[str]) -> list[DataTransformerConfig]:
    """Make one table of several queries: labels first, then a column for each query."""
    refs = [chr(ord("A") + place) for place in range(len(columns))]
    values = ["Value"] if len(columns) == 1 else [f"Value #{ref}" for ref in refs]
    order = {name: place for place, name in enumerate([*labels, *values])}
    options = {
        "excludeByName": {"Time": True},
        "indexByName": order,
        "renameByName": dict(zip(values, columns, strict=True)),
    }
    return [
        DataTransformerConfig(id_val="merge", options={}),
        DataTransformerConfig(id_val="organize", options=options),
    ]


def thresholds(limits: Sequence[float], colours: Sequence[str]) -> ThresholdsConfig:
    """Colour values by limits; the first colour is that of values below all of them."""
    steps = [Threshold(value=None, color=colours[0] if limits else "blue")]
    steps += [
        Threshold(value=limit, color=colour)
        for limit, colour in zip(limits, colours[1:], strict=False)
    ]
    return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)
