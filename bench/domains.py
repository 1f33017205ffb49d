"""What many domains cost: time to ready, memory, and the longest wait of a request during a reload.

    python -m bench.domains

About 25 s. The requests are offered at a moderate rate; the reload changes one domain in the map file.
"""

import os
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench import report, setting

DOMAINS = 50_000
RATE, SECONDS = 1000, 8


def main() -> None:
    """Start a daemon with many domains, reload it under load; print and write the section."""
    noise = report.Noise()
    with setting.folder() as folder:
        config = setting.configuration(folder, 1, domains=DOMAINS)
        with setting.redis(folder / "redis.sock"):
            begun = time.monotonic()
            with setting.policyd(config) as socket:
                rows = [("ready after", f"{time.monotonic() - begun:.1f} s")]
                pid = setting.started(folder)
                rows.append(("memory of the daemon", f"{_resident(pid):.0f} MiB"))
                waits = [_longest(socket), _longest(socket, partial(_change, folder, pid))]
                rows.append(("memory after a reload", f"{_resident(pid):.0f} MiB"))
    for name, (p99, longest) in zip(("without", "with"), waits, strict=True):
        rows.append((f"longest wait at {RATE:,}/s {name} a reload", f"{longest:.1f} ms (p99 {p99:.1f} ms)"))
    table = report.table((f"{DOMAINS:,} domains from a map file", ""), rows)
    report.write("domains", "\n\n".join(["## Many domains in the configuration", table, noise.said()]))


def _longest(socket: Path, disturb: Callable[[], None] | None = None) -> tuple[float, float]:
    """Return p99 and the longest wait in ms, with a disturbance in the midst of it."""
    if disturb is not None:
        threading.Timer(SECONDS / 2, disturb).start()
    found = setting.load(socket, "-c", "8", "-k", str(RATE), "-t", str(SECONDS))
    return found["p99_us"] / 1000, found["max_us"] / 1000


def _change(folder: Path, pid: int) -> None:
    with (folder / "domains.map").open("a") as domains:
        domains.write("one-more.test\n")
    os.kill(pid, signal.SIGHUP)


def _resident(pid: int) -> float:
    """Return the resident memory of a process in MiB."""
    with open(f"/proc/{pid}/statm") as statm:  # noqa: PTH123
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
