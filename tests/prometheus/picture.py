"""Draws the dashboard "Mail policy" from what a real Prometheus answers to its queries.

    python -m tests.prometheus.picture FILE.png

Grafana itself is not needed: the panels, their places, queries and legends are those of the
dashboard; only the drawing is matplotlib's.
"""

import random
import re
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler

from tests.prometheus.day import Day, day
from tests.prometheus.panels import BOARDS, Panel, panels

SECONDS = 90
"""Of traffic: as many scrapes."""

DENSITY = 0.7
"""How often there is some between two scrapes."""

BOARD = "policyd-mail-policy"
COLOURS = ["#5794f2", "#73bf69", "#f2cc0c", "#ff780a", "#f2495c", "#b877d9", "#8ab8ff", "#96d98d"]
STYLE: Any = {
    "font.size": 6, "axes.facecolor": "#181b1f", "figure.facecolor": "#111217", "text.color": "#ccccdc",
    "axes.edgecolor": "#2c3235", "axes.labelcolor": "#ccccdc", "xtick.color": "#8e8e99", "ytick.color": "#8e8e99",
    "axes.prop_cycle": cycler(color=COLOURS), "axes.spines.top": False, "axes.spines.right": False,
}  # fmt: skip

Lines = list[tuple[str, list[float], list[float]]]


def answers(seen: Day, panel: Panel) -> Lines:
    """Return the lines of a panel: name, minutes and values."""
    found: Lines = []
    for expression, legend in panel.queries:
        for labels, points in seen.prometheus.course(expression, SECONDS).items():
            name = legend
            for label, value in labels:
                name = name.replace(f"{{{{{label}}}}}", value)
            name = re.sub(r"{{.*?}}", "(none)", name)
            first = points[-1][0] - SECONDS
            found.append((name, [at - first for at, _ in points], [value for _, value in points]))
    return found


def shown(value: float, unit: str) -> str:
    """Return a number with its unit."""
    if unit == "percentunit":
        return f"{value:.0%}"
    if unit == "s":
        return f"{value * 1000:.1f} ms"
    return f"{value:.3g}" + ("/s" if unit == "reqps" else "")


def draw_number(axes: Axes, panel: Panel, lines: Lines) -> None:
    """Draw the last value."""
    axes.set_axis_off()
    axes.text(0.5, 0.4, shown(lines[0][2][-1], panel.unit), ha="center", va="center", fontsize=15, color=COLOURS[1])


def draw_bars(axes: Axes, panel: Panel, lines: Lines) -> None:
    """Draw the last values as bars in the colours of the panel's thresholds."""
    fullest = sorted(((points[-1], name) for name, _, points in lines), reverse=True)[:10][::-1]
    colours = ["#f2495c" if value >= 1 else "#f2cc0c" if value >= 0.8 else "#73bf69" for value, _ in fullest]
    axes.barh([name for _, name in fullest], [value for value, _ in fullest], color=colours, height=0.6)
    for place, (value, _) in enumerate(fullest):
        axes.text(min(value, 1) + 0.01, place, shown(value, panel.unit), va="center")
    axes.set_xlim(0, 1.15)
    axes.set_xticks([])


def draw_graph(axes: Axes, panel: Panel, lines: Lines) -> None:
    """Draw lines over time, stacked where the panel has them so."""
    custom: dict[str, Any] = panel.made["fieldConfig"]["defaults"].get("custom", {})
    longest = max((times for _, times, _ in lines), key=len)
    if custom.get("stacking", {}).get("mode") == "normal":
        filled = [[0.0] * (len(longest) - len(values)) + values for _, _, values in lines]
        axes.stackplot(longest, filled, labels=[name for name, _, _ in lines], alpha=0.7)
    else:
        for name, times, values in lines:
            axes.plot(times, values, label=name, linewidth=0.9)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(lambda value, _: shown(value, panel.unit))
    axes.set_xticks([])
    axes.grid(color="#2c3235", linewidth=0.4)
    legend = axes.legend(loc="upper left", fontsize=5, frameon=False, ncols=2)
    legend.set_zorder(9)


DRAW = {"stat": draw_number, "bargauge": draw_bars, "timeseries": draw_graph}


def draw(seen: Day) -> Figure:
    """Return the dashboard, each panel in its place."""
    rows = [made for made in BOARDS[BOARD]["panels"] if made["type"] == "row"]
    height = max(panel.made["gridPos"]["y"] + panel.made["gridPos"]["h"] for panel in panels(BOARD))
    figure = Figure(figsize=(10, height * 0.24), dpi=80)
    for panel in panels(BOARD):
        place = panel.made["gridPos"]
        left, bottom = place["x"] / 24, 1 - (place["y"] + place["h"]) / height
        inner = (left + 0.045, bottom + 0.008, place["w"] / 24 - 0.055, (place["h"] - 1.4) / height)
        if panel.kind == "bargauge":
            inner = (left + 0.15, inner[1], inner[2] - 0.115, inner[3])
        axes = figure.add_axes(inner)
        axes.set_title(panel.title, loc="left", fontsize=7)
        DRAW[panel.kind](axes, panel, answers(seen, panel))
    for row in rows:
        figure.text(0.008, 1 - (row["gridPos"]["y"] + 0.75) / height, row["title"], fontsize=8, weight="bold")
    return figure


def main(file: Path) -> None:
    """Let traffic of changing density pass for a while, and draw what was seen of it."""
    chance = random.Random(4)
    with day() as seen, mpl.rc_context(STYLE):
        for scrapes in range(SECONDS):
            if chance.random() < DENSITY:
                seen.mix()
            seen.prometheus.wait(f'count_over_time(up{{job="policyd"}}[1h]) > {scrapes}')
        draw(seen).savefig(file)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
