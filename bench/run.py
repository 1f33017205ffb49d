"""Decisions a second and their latency beside other policy services, in one run on one machine.

    python -m bench.run

About 7 minutes. Everything shares the machine: load generator, service, its store. Passes are
interleaved (A B A B ...) and medians shown; compare within one run only. The responders show what the
generator and Python could do, redis-benchmark what Redis could do with the same script.
"""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median

from bench import curve, peers, report, script, setting

PASSES, SECONDS = 5, "3"
DEEP = 16
TARGETS = {"responder that parses all into a dict": 0.5, "policyd-rate-limit": 12, "postfwd2": 12, "postfwd1": 12}
"""How many times as much as these policyd shall do with one limit."""

Pass = Callable[[], list[float]]


def asked(socket: Path, *options: str) -> list[float]:
    """Return decisions a second and us (p50, p99) of one pass of the load generator."""
    found = setting.load(socket, "-t", SECONDS, *options)
    return [float(found[name]) for name in ("requests_per_second", "p50_us", "p99_us")]


def passes(sockets: dict[str, Path], redis: Path) -> dict[str, Pass]:
    """Return what is measured, by name."""
    one, three, *_ = sockets.values()
    many = ("-c", str(setting.CONNECTIONS))
    found = {name: partial(asked, socket, *many) for name, socket in sockets.items()}
    return {
        **found,
        "policyd, 1 limit, 5,000/s offered": partial(asked, one, *many, "-k", "5000"),
        "policyd, 1 limit, 1 connection": partial(asked, one, "-c", "1"),
        "policyd, 3 limits, 1 connection": partial(asked, three, "-c", "1"),
        "redis-benchmark of the script, 1 limit": partial(script.benchmarked, redis, 1, 1),
        f"redis-benchmark of the script, 1 limit, {DEEP} deep": partial(script.benchmarked, redis, 1, DEEP),
        "redis-benchmark of the script, 3 limits": partial(script.benchmarked, redis, 3, 1),
    }


def compared(todo: dict[str, Pass]) -> dict[str, list[float]]:
    """Run the passes, each once in turn, and return the medians."""
    found: dict[str, list[list[float]]] = {name: [] for name in todo}
    for _ in range(PASSES):
        for name, measure in todo.items():
            try:
                found[name].append(measure())
            except setting.WrongAnswersError as wrong:
                print(f"a pass is left out: {name}: {wrong}", flush=True)
    return {name: [median(column) for column in zip(*rows, strict=True)] for name, rows in found.items() if rows}


def figures(found: dict[str, list[float]]) -> str:
    """Return the table of all, and that of the ratios."""
    shown = "{:,.0f} {:.2f} {:.2f}".format
    rows = [(name, *shown(rate, p50 / 1000, p99 / 1000).split()) for name, (rate, p50, p99) in found.items()]
    table = report.table((f"{setting.CONNECTIONS} connections", "decisions/s", "p50 ms", "p99 ms"), rows)
    own = found["policyd, 1 limit"][0]
    ratios = [(name, f"{own / found[name][0]:.2f}", str(least)) for name, least in TARGETS.items() if name in found]
    return f"{table}\n\n{report.table(('policyd with 1 limit beside', 'times as much', 'at least'), ratios)}"


def main() -> None:
    """Run the passes and the curves; print and write the section."""
    noise = report.Noise()
    with ExitStack() as running:
        services = {**peers.POLICYD, **peers.RESPONDERS, **peers.others()}
        sockets = {name: running.enter_context(start()) for name, start in services.items()}
        folder = running.enter_context(setting.folder())
        running.enter_context(setting.redis(folder / "redis.sock"))
        table = figures(compared(passes(sockets, folder / "redis.sock")))
        plots = curve.plotted(sockets)
    words = (
        f"Medians of {PASSES} interleaved passes of {SECONDS} s. One recipient a message, an instance of its own each, "
        f"29 attributes, {setting.DOMAINS:,} domains of 10 users; a limit that refuses nothing. policyd: one process, "
        "metrics and a log line for every decision on, Redis without persistence on a unix socket."
    )
    report.write("decisions", "\n\n".join(["## Decisions a second", words, table, plots, noise.said()]))


if __name__ == "__main__":
    main()
