"""The kinds of panels of the dashboard."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import (
    common,
    dashboard,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.models import common as look
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from deploy.grafana.dashboard.expressions import HERE

PROMETHEUS: Final = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
GREEN, ORANGE, RED = "green", "orange", "red"
Query = tuple[str, str]
"""An expression, and its series' name in the legend."""
Steps = tuple[tuple[float, str], ...]
"""Pairs of a lowest value and its colour. Values below the first pair are green."""


def number(title: str, description: str, query: Query, unit: str, steps: Steps, *, width: int = 4) -> stat.Panel:
    """A panel with the present value of each account, coloured by thresholds."""
    return (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(PROMETHEUS)
        .with_target(_target(query, "A").instant())
        .unit(unit)
        .thresholds(_thresholds(steps))
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .color_mode(look.BigValueColorMode.BACKGROUND)
        .graph_mode(look.BigValueGraphMode.NONE)
        .text_mode(look.BigValueTextMode.VALUE_AND_NAME)
        .height(4)
        .span(width)
    )


def state(title: str, description: str, query: Query, meanings: dict[int, tuple[str, str]]) -> stat.Panel:
    """A panel with the present state of each account. `meanings` gives text and colour of each value."""
    return number(title, description, query, "none", ()).mappings(_mappings(meanings))


def lines(
    title: str, description: str, unit: str, *queries: Query, width: int = 8, steps: Steps = ()
) -> timeseries.Panel:
    """A panel with values over time. `steps` are drawn as thresholds."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(PROMETHEUS)
        .unit(unit)
        .min(0)
        .fill_opacity(10)
        .show_points(look.VisibilityMode.NEVER)
        .legend(
            common.VizLegendOptions()
            .display_mode(look.LegendDisplayMode.LIST)
            .placement(look.LegendPlacement.BOTTOM)
            .show_legend(True)  # noqa: FBT003 -- the builder's own
        )
        .tooltip(common.VizTooltipOptions().mode(look.TooltipDisplayMode.MULTI).sort(look.SortOrder.DESCENDING))
        .height(8)
        .span(width)
    )
    for name, query in zip("ABCDEF", queries, strict=False):
        panel.with_target(_target(query, name).range())
    if steps:
        panel.thresholds(_thresholds(steps))
        panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(look.GraphTresholdsStyleMode.DASHED))
    return panel


def bars(
    title: str, description: str, unit: str, *queries: Query, width: int = 8, steps: Steps = ()
) -> timeseries.Panel:
    """A panel with counts over time, for events that are rare or should not happen."""
    return (
        lines(title, description, unit, *queries, width=width, steps=steps)
        .draw_style(look.GraphDrawStyle.BARS)
        .fill_opacity(60)
        .stacking(common.StackingConfig().mode(look.StackingMode.NORMAL))
    )


def buckets(title: str, description: str, histogram: str, *, width: int = 8, scope: str = HERE) -> heatmap.Panel:
    """A panel with the distribution of a histogram's observations over its buckets."""
    query = (f"sum by (le) (increase({histogram}_bucket{{{scope}}}[$__rate_interval]))", "{{le}}")
    return (
        heatmap.Panel()
        .title(title)
        .description(description)
        .datasource(PROMETHEUS)
        .with_target(_target(query, "A").range().format(PromQueryFormat.HEATMAP))
        .calculate(False)  # noqa: FBT003 -- the builder's own
        .color(heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges").steps(64))
        .y_axis(heatmap.YAxisConfig().unit("s").axis_placement(look.AxisPlacement.LEFT))
        .unit("short")
        .show_tooltip()
        .height(8)
        .span(width)
    )


def timeline(title: str, description: str, query: Query, meanings: dict[int, tuple[str, str]]) -> statetimeline.Panel:
    """A panel with states over time, one row for each account."""
    return (
        statetimeline.Panel()
        .title(title)
        .description(description)
        .datasource(PROMETHEUS)
        .with_target(_target(query, "A").range())
        .unit("none")
        .mappings(_mappings(meanings))
        .thresholds(_thresholds(()))
        .show_value(look.VisibilityMode.NEVER)
        .height(8)
        .span(8)
    )


def rows(title: str, description: str, query: Query, *, without: tuple[str, ...]) -> table.Panel:
    """A table of an expression's present series, without the columns in `without`."""
    hidden = dict.fromkeys(("Time", "Value", "__name__", *without), True)
    return (
        table.Panel()
        .title(title)
        .description(description)
        .datasource(PROMETHEUS)
        .with_target(_target(query, "A").instant().format(PromQueryFormat.TABLE))
        .with_transformation(model.DataTransformerConfig(id_val="organize", options={"excludeByName": hidden}))
        .unit("none")
        .height(8)
        .span(12)
    )


def _target(query: Query, name: str) -> prometheus.Dataquery:
    expression, legend = query
    return prometheus.Dataquery().expr(expression).legend_format(legend).ref_id(name).datasource(PROMETHEUS)


def _thresholds(steps: Steps) -> dashboard.ThresholdsConfig:
    colours = [model.Threshold(None, GREEN), *(model.Threshold(value, colour) for value, colour in steps)]
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(colours)


def _mappings(meanings: dict[int, tuple[str, str]]) -> list[model.ValueMapping]:
    results = {
        str(value): model.ValueMappingResult(text=text, color=colour, index=index)
        for index, (value, (text, colour)) in enumerate(meanings.items())
    }
    return [model.ValueMap(results)]
