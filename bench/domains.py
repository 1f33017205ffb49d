"""What many domains cost: time to ready, memory, and the longest wait of a request during a reload.

    python -m bench.domains

The requests are offered at a moderate rate; the reload changes one domain in the map file.
"""

import os
import signal
import threading
import time

from bench import setting

DOMAINS = 50_000
RATE, SECONDS = 1000, 8


def main() -> None:
    """Start a daemon with many domains, reload it under load, and print the table."""
    with setting.folder() as folder:
        config = setting.configuration(folder, 1, domains=DOMAINS)
        with setting.redis(folder / "redis.sock"):
            begun = time.monotonic()
            with setting.policyd(config) as socket:
                print(f"{DOMAINS:,} domains: ready after {time.monotonic() - begun:.1f} s")
                pid = setting.started(folder)
                print(f"memory of the daemon: {_resident(pid):.0f} MiB")
                quiet = setting.load(socket, "-c", "8", "-k", str(RATE), "-t", str(SECONDS))
                with (folder / "domains.map").open("a") as domains:
                    domains.write("one-more.test\n")
                threading.Timer(3.0, os.kill, (pid, signal.SIGHUP)).start()
                busy = setting.load(socket, "-c", "8", "-k", str(RATE), "-t", str(SECONDS))
                for name, found in (("without", quiet), ("with", busy)):
                    p99, longest = found["p99_us"] / 1000, found["max_us"] / 1000
                    print(f"{name} a reload: p99 {p99:.1f} ms, longest {longest:.1f} ms")


def _resident(pid: int) -> float:
    """Return the resident memory of a process in MiB."""
    with open(f"/proc/{pid}/statm") as statm:  # noqa: PTH123
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
