"""What a service makes of a load that is offered whether it answers in time or not; drawn as PNG.

Latency counts from the moment at which a request was due, so what waits for a free connection counts, too.
"""

from math import inf
from pathlib import Path
from statistics import median
from typing import NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench import report, setting

RATES = (1_000, 2_000, 3_000, 5_000, 7_500, 10_000, 12_500, 15_000, 20_000, 25_000, 30_000, 40_000)
PASSES, SECONDS = 2, "2"
ENOUGH, BEHIND = 0.9, 2
"""A service that makes less than this share of what is offered, at so many rates, is offered no more."""
_LEFT_OUT = "responder that parses nothing"


class Point(NamedTuple):
    """What became of one offered rate; latencies in ms."""

    made: float
    p50: float
    p99: float


Curve = dict[int, Point]


def measured(sockets: dict[str, Path]) -> dict[str, Curve]:
    """Return the medians of interleaved passes, by service and offered rate."""
    found: dict[str, Curve] = {name: {} for name in sockets}
    for rate in RATES:
        still = [name for name, curve in found.items() if _behind(curve) < BEHIND]
        points: dict[str, list[Point]] = {name: [] for name in still}
        for _ in range(PASSES):
            for name in still:
                points[name].append(_point(sockets[name], rate))
        for name, made in points.items():
            found[name][rate] = Point(*(median(column) for column in zip(*made, strict=True)))
    return found


def _behind(curve: Curve) -> int:
    return sum(point.made < ENOUGH * rate for rate, point in curve.items())


def _point(socket: Path, rate: int) -> Point:
    try:
        found = setting.load(socket, "-c", str(setting.CONNECTIONS), "-k", str(rate), "-t", SECONDS, "-w", "0")
    except setting.WrongAnswersError:
        return Point(0, inf, inf)
    return Point(found["requests_per_second"], found["p50_us"] / 1000, found["p99_us"] / 1000)


def plotted(sockets: dict[str, Path]) -> str:
    """Measure all services, draw them, and return the figures as text with the pictures."""
    found = measured({name: socket for name, socket in sockets.items() if name != _LEFT_OUT})
    _draw(found)
    rows = [
        (name, f"{rate:,}", f"{point.made:,.0f}", f"{point.p50:.2f}", f"{point.p99:.2f}")
        for name, curve in found.items()
        for rate, point in curve.items()
    ]
    table = report.table(("offered", "requests/s", "decisions/s", "p50 ms", "p99 ms"), rows)
    words = (
        "Latency counts from the moment at which a request was due. The last rows of each are where it\nfalls behind."
    )
    return f"![decisions and latency over offered load](load.png)\n\n{words}\n\n{table}"


def _draw(found: dict[str, Curve]) -> None:
    mpl.use("Agg")
    figure = Figure(figsize=(8, 9), layout="constrained")
    throughput, latency = figure.subplots(2, 1, sharex=True)
    for number, (name, curve) in enumerate(found.items()):
        offered, colour = list(curve), f"C{number}"
        throughput.plot(offered, [point.made for point in curve.values()], "o-", color=colour, label=name)
        latency.plot(offered, [point.p99 for point in curve.values()], "o-", color=colour)
        latency.plot(offered, [point.p50 for point in curve.values()], "o:", color=colour, alpha=0.6)
    throughput.plot(RATES, RATES, color="#bbbbbb", zorder=0, label="all that is offered")
    _finish(throughput, "decisions/s")
    _finish(latency, "ms from due to answered: p99, dotted p50")
    figure.legend(loc="outside lower center", ncols=2, fontsize=8)
    latency.set_xlabel("requests/s offered")
    figure.savefig(setting.HERE / "load.png", dpi=110)


def _finish(axes: Axes, label: str) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylabel(label)
    axes.grid(visible=True, alpha=0.3)
    axes.set_xticks([1_000, 2_000, 5_000, 10_000, 20_000, 40_000])
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
