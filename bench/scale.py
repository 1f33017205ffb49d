"""What more domains in Redis cost, and more daemons on one Redis; and from that, what carries how much mail.

    python -m bench.scale

About 3 minutes. Redis is filled by copying what the script itself has written: a counter that was used
for an hour, and a message record, for each domain. Writes bench/RESULTS.md and the table of bench/capacity.md.
"""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from math import ceil
from pathlib import Path
from statistics import median
from typing import NamedTuple

import redis as redis_py

from bench import report, script, setting, tree
from policyd.service import OPEN
from policyd.store.script import Script

PASSES, SECONDS = 5, "3"
SIZES, ASKED = (1_000, 100_000, 1_000_000), 100_000
"""Domains in Redis; about no more than ASKED of them the daemons are asked."""
DAEMONS = (1, 2, 4)
BUSY = 0.6
"""The share of a core that may be in use when it is planned for: the rest is for peaks and for faults."""
_MINUTE = 60_000
_COPY = """
local function name(key, number) return (string.gsub(key, 'domain0%.test', 'domain' .. number .. '.test')) end
for number = ARGV[1], ARGV[2] do redis.call('COPY', KEYS[1], name(KEYS[1], number)) end
"""


class Memory(NamedTuple):
    """Bytes of Redis for each domain's counter, and for each message record."""

    domain: float
    record: float


class Site(NamedTuple):
    """A Redis that holds so many domains, and a daemon on it."""

    domains: int
    client: redis_py.Redis
    socket: Path
    memory: Memory
    processes: tuple[int, int]
    """The daemon and Redis."""


class Pass(NamedTuple):
    """Decisions a second, ms (p99), and us of processor time a decision: script, daemon, Redis."""

    rate: float
    p99: float
    script: float
    daemon: float
    redis: float


def fill(client: redis_py.Redis, domains: int) -> Memory:
    """Give each of so many domains a counter with an hour behind it and a message record; return what they take."""
    sha = client.script_load(Script().text)
    seconds, _ = client.time()
    for minute in range(60, -1, -1):
        words = script.words(1, 0, now=seconds * 1000 - minute * _MINUTE)
        client.execute_command("EVALSHA", sha, *words)  # type: ignore[no-untyped-call]
    counter, record = (next(client.scan_iter(f"*:{kind}:*", count=1000)) for kind in ("ring", "message"))
    sizes = [_copied(client, key, domains) for key in (counter, record)]
    return Memory(*sizes)


def _copied(client: redis_py.Redis, key: bytes, domains: int) -> float:
    copy, before = client.register_script(_COPY), int(client.info("memory")["used_memory"])
    numbers = iter(range(1, domains))
    while some := list(islice(numbers, 10_000)):
        copy(keys=[key], args=[some[0], some[-1]])
    return (int(client.info("memory")["used_memory"]) - before) / (domains - 1)


@contextmanager
def site(domains: int) -> Iterator[Site]:
    """Run a filled Redis and a daemon on it."""
    with setting.folder() as folder, setting.redis(folder / "redis.sock") as store:
        client = redis_py.Redis(unix_socket_path=str(folder / "redis.sock"))
        memory = fill(client, domains)
        with setting.policyd(setting.configuration(folder, 1, domains=min(domains, ASKED))) as socket:
            yield Site(domains, client, socket, memory, (setting.started(folder), store))


def measured(site: Site) -> Pass:
    """Ask a site for one pass."""
    site.client.config_resetstat()
    before = [tree.processor_ms([pid]) for pid in site.processes]
    asked = str(min(site.domains, ASKED))
    found = setting.load(site.socket, "-c", str(setting.CONNECTIONS), "-t", SECONDS, "-w", "0", "-d", asked)
    used = [tree.processor_ms([pid]) - start for pid, start in zip(site.processes, before, strict=True)]
    usec = float(site.client.info("commandstats")["cmdstat_evalsha"]["usec_per_call"])
    each = [ms * 1000 / found["requests"] for ms in used]
    return Pass(found["requests_per_second"], found["p99_us"] / 1000, usec, each[0], each[1])


def sizes() -> tuple[str, Pass, Memory]:
    """Return the table of all sizes, and of the largest what a pass and its keys cost."""
    with ExitStack() as running:
        sites = [running.enter_context(site(domains)) for domains in SIZES]
        found: list[list[Pass]] = [[] for _ in sites]
        for _ in range(PASSES):
            for rows, one in zip(found, sites, strict=True):
                rows.append(measured(one))
    medians = [Pass(*(median(column) for column in zip(*rows, strict=True))) for rows in found]
    shown = "{:,.0f} {:,.0f} {:,.0f} {:.1f} {:.1f} {:.0f} {:.0f}".format
    lines = [
        (f"{one.domains:,}", f"{min(one.domains, ASKED):,}", *shown(*one.memory, *each).split())
        for one, each in zip(sites, medians, strict=True)
    ]
    head = ("domains in Redis", "asked about", "bytes a counter", "bytes a message record", "decisions/s", "p99 ms")
    table = report.table((*head, "script us", "daemon CPU us", "Redis CPU us"), lines)
    return table, medians[-1], sites[-1].memory


def daemons() -> str:
    """Return the table of several daemons on one Redis."""
    found: dict[int, list[float]] = {count: [] for count in DAEMONS}
    with ExitStack() as running:
        folders = [running.enter_context(setting.folder()) for _ in range(max(DAEMONS))]
        store = folders[0] / "redis.sock"
        running.enter_context(setting.redis(store))
        configs = [setting.configuration(folder, 1, store=store) for folder in folders]
        sockets = [running.enter_context(setting.policyd(config)) for config in configs]
        for _ in range(PASSES):
            for count in DAEMONS:
                found[count].append(_together(sockets[:count]))
    one = median(found[1])
    rows = [(str(count), f"{median(rates):,.0f}", f"{median(rates) / one:.2f}") for count, rates in found.items()]
    return report.table(("daemons on one Redis", "decisions/s together", "times one"), rows)


def _together(sockets: list[Path]) -> float:
    """Return what several daemons decide in a second, with the same number of connections in all."""
    command = [str(setting.build_load()), "-c", str(setting.CONNECTIONS // len(sockets)), "-t", SECONDS]
    running = [subprocess.Popen([*command, f"unix:{socket}"], stdout=subprocess.PIPE) for socket in sockets]
    return sum(float(setting.heard(one.communicate()[0])["requests_per_second"]) for one in running)


def capacity(one: Pass, memory: Memory) -> str:
    """Return what carries one message load and ten times that, from the cost of a decision."""
    hourly = int(one.rate / 2 * BUSY * 3600 // 100_000) * 100_000
    rows = []
    for messages in (hourly // 10, hourly, hourly * 10):
        decisions = messages * 2 / 3600
        cores = [ceil(decisions * us / 1e6 / BUSY) for us in (one.daemon, one.redis)]
        kept = messages * OPEN / 3_600_000 * memory.record
        shown = (f"{messages:,}", f"{decisions:,.0f}", *map(str, cores))
        rows.append((*shown, f"{kept / 2**30:.1f} GiB", f"{SIZES[-1] * memory.domain / 2**30:.1f} GiB"))
    counters = f"counters of {SIZES[-1]:,} domains, each limit"
    head = ("messages an hour", "decisions/s", "daemons", "Redis processes", "message records", counters)
    return report.table(head, rows)


def main() -> None:
    """Measure; print and write the sections."""
    noise = report.Noise()
    table, one, memory = sizes()
    said = "\n\n".join(["## Scale", table, daemons(), noise.said()])
    report.write("scale", said)
    report.write("capacity", capacity(one, memory), setting.HERE / "capacity.md")


if __name__ == "__main__":
    main()
