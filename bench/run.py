"""Decisions a second and their latency, in one run on one machine.

    make bench

Everything shares the machine: load generator, daemon, Redis. Passes are interleaved (A B A B ...)
and medians shown; compare within one run only. The responders show what the generator and Python
could do at best.
"""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from bench import micro, setting

PASSES, SECONDS = 5, "3"
_COLUMNS = ("requests_per_second", "p50_us", "p90_us", "p99_us", "p99_9_us")

Row = list[float]


@contextmanager
def daemon(limits: int) -> Iterator[Path]:
    """Run Redis and a daemon with so many limits; return the policy socket."""
    with setting.folder() as folder:
        config = setting.configuration(folder, limits)
        with setting.redis(folder / "redis.sock"), setting.policyd(config) as socket:
            yield socket


@contextmanager
def responder(kind: str) -> Iterator[Path]:
    """Run a responder that decides nothing; return its socket."""
    with setting.folder() as folder:
        socket = folder / "policy"
        command = [str(setting.BIN / "python"), str(setting.HERE / "responders.py"), kind, f"unix:{socket}"]
        with setting.running(command, socket):
            yield socket


def measured(rows: dict[str, list[Row]], name: str, socket: Path, *options: str) -> None:
    """Add one pass to a row."""
    found = setting.load(socket, "-t", SECONDS, *options)
    others = {action: count for action, count in found["actions"].items() if action != "DUNNO" and count}
    if found["errors"] or others:
        raise SystemExit(f"{name}: {found['errors']} errors, answers {others}")
    rows.setdefault(name, []).append([float(found[column]) for column in _COLUMNS])


def main() -> None:
    """Run the passes and print the table."""
    setting.build_load()
    rows: dict[str, list[Row]] = {}
    steal = _steal()
    with daemon(1) as one, daemon(3) as three, responder("nothing") as nothing, responder("dict") as everything:
        for _ in range(PASSES):
            measured(rows, "policyd, 1 limit, 32 connections", one, "-c", "32")
            measured(rows, "policyd, 3 limits, 32 connections", three, "-c", "32")
            measured(rows, "policyd, 1 limit, 5,000/s offered", one, "-c", "32", "-k", "5000")
            measured(rows, "policyd, 1 limit, 1 connection", one, "-c", "1")
            measured(rows, "responder that parses all into a dict", everything, "-c", "32")
            measured(rows, "responder that parses nothing", nothing, "-c", "32")
    print(f"Python {platform.python_version()}, {os.cpu_count()} CPUs, steal {_steal() - steal:.1f} s\n")
    print("| | decisions/s | p50 ms | p90 ms | p99 ms | p99.9 ms |\n|---|---|---|---|---|---|")
    for name, passes in rows.items():
        rate, *latencies = (median(column) for column in zip(*passes, strict=True))
        print(f"| {name} | {rate:,.0f} | {' | '.join(f'{value / 1000:.2f}' for value in latencies)} |")
    print()
    micro.main()


def _steal() -> float:
    """Return the seconds that the host took from this machine since its start."""
    with Path("/proc/stat").open() as stat:
        return int(stat.readline().split()[8]) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
