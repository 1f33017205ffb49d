"""What the panels of the dashboards have in common.

All look at one data source and at the chosen instances only, so that they are the same for one
daemon and for ten.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.models.common import (
    BarGaugeDisplayMode,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardLinkType,
    DataSourceRef,
    Threshold,
    VariableRefresh,
)

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
CHOSEN = 'instance=~"$instance"'

WIDE, HALF, THIRD = 24, 12, 8
"""Of the 24 columns."""

POLICY, INTERNALS = ("policyd-mail-policy", "Mail policy"), ("policyd-internals", "policyd internals")
"""Uid and title of each dashboard."""

NONE_IS_GOOD = ((None, "green"), (1.0, "red"))
"""The colours of a number that should be 0."""

Panel = timeseries.Panel | stat.Panel | bargauge.Panel
Part = tuple[str, list[Panel]]
"""A row: its title and its panels."""

Steps = Sequence[tuple[float | None, str]]


class Line(NamedTuple):
    """A query, and what its lines are called."""

    expr: str
    legend: str = "{{instance}}"


def rate(metric: str, by: str, *labels: str) -> Line:
    """Return how often a counter counts per second, by one of its labels."""
    chosen = ",".join((CHOSEN, *labels))
    return Line(f"sum by ({by}) (rate(policyd_{metric}{{{chosen}}}[$__rate_interval]))", f"{{{{{by}}}}}")


def gauge(metric: str, legend: str = "{{instance}}") -> Line:
    """Return a number as each chosen instance has it."""
    return Line(f"policyd_{metric}{{{CHOSEN}}}", legend)


def total(expr: str, legend: str = "") -> Line:
    """Return a query about all chosen instances; ``CHOSEN`` in it stands for their labels."""
    return Line(expr.replace("CHOSEN", f"{{{CHOSEN}}}"), legend)


def quantiles(metric: str) -> tuple[Line, ...]:
    """Return how long the middle one, one in ten and one in a hundred took."""
    buckets = f"sum by (le) (rate(policyd_{metric}_bucket{{{CHOSEN}}}[$__rate_interval]))"
    return tuple(Line(f"histogram_quantile({share}, {buckets})", f"p{share * 100:.0f}") for share in (0.5, 0.9, 0.99))


def graph(title: str, text: str, *lines: Line, unit: str, width: int = HALF, stacked: bool = False) -> timeseries.Panel:
    """Return a panel of lines over time."""
    panel = timeseries.Panel().title(title).description(text).datasource(SOURCE).unit(unit).min(0)
    panel = panel.span(width).height(8).fill_opacity(40 if stacked else 10).line_width(1)
    panel = panel.tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL))
    for place, line in enumerate(lines):
        panel = panel.with_target(_query(line, place).range())
    return panel


def number(title: str, text: str, line: Line, *, unit: str, steps: Steps = ((None, "blue"),)) -> stat.Panel:
    """Return a panel of one number, with its course behind it."""
    panel = stat.Panel().title(title).description(text).datasource(SOURCE).unit(unit)
    return panel.span(4).height(4).thresholds(_colours(steps)).with_target(_query(line, 0).range())


def bars(title: str, text: str, line: Line, *, unit: str, most: float, steps: Steps) -> bargauge.Panel:
    """Return a panel of bars as they are now."""
    panel = bargauge.Panel().title(title).description(text).datasource(SOURCE).unit(unit).min(0).max(most)
    panel = panel.span(HALF).height(12).orientation(VizOrientation.HORIZONTAL).display_mode(BarGaugeDisplayMode.BASIC)
    return panel.thresholds(_colours(steps)).with_target(_query(line, 0).instant())


def board(name: tuple[str, str], text: str, other: tuple[str, str], parts: Iterable[Part]) -> dashboard.Dashboard:
    """Return a dashboard that leads to another one; both are named by uid and title."""
    source = dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus")
    instance = dashboard.QueryVariable("instance").label("Instance").datasource(SOURCE)
    instance = instance.query("label_values(policyd_build_info, instance)").multi(True).include_all(True)
    instance = instance.all_value(".*").refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
    link = dashboard.DashboardLink(other[1]).type(DashboardLinkType.LINK).url(f"/d/{other[0]}")
    link = link.keep_time(True).include_vars(True).icon("dashboard")
    made = dashboard.Dashboard(name[1]).uid(name[0]).description(text).tags(["policyd", "mail"]).time("now-6h", "now")
    made = made.refresh("30s").timezone("browser").with_variable(source).with_variable(instance).link(link)
    for title, panels in parts:
        made = made.with_row(dashboard.Row(title))
        for panel in panels:
            made = made.with_panel(panel)
    return made


def _query(line: Line, place: int) -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(line.expr).legend_format(line.legend).ref_id("ABCDEFGH"[place])


def _colours(steps: Steps) -> dashboard.ThresholdsConfig:
    return dashboard.ThresholdsConfig().steps([Threshold(value=value, color=colour) for value, colour in steps])
