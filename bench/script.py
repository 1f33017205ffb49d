"""What the script costs inside Redis: beside one of two commands, and with weeks or many members behind it.

    python -m bench.script

About 30 s. usec_per_call is Redis' own figure (INFO commandstats), the median of interleaved passes.
"""

import csv
import shutil
import subprocess
import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median

import redis as redis_py

from bench import report, setting
from policyd.model import Charge, CounterType, Member
from policyd.store.base import Call, Op, Record
from policyd.store.script import Script, encode

PASSES, CALLS = 7, 10_000
BENCHMARKED = 60_000
MEMBERS = (1_000, 100_000)
_TWO = b"redis.call('INCRBY', KEYS[1], ARGV[1]) return redis.call('EXPIRE', KEYS[1], ARGV[2])"
_COMMANDS = b"""
redis.call('TIME')
redis.call('EXISTS', KEYS[1], KEYS[2])
for number = 3, #KEYS do
  redis.call('GET', KEYS[number])
  redis.call('SETRANGE', KEYS[number], '0', '012345678901234567890123')
end
redis.call('SET', KEYS[1], string.rep('x', 64 + 32 * (#KEYS - 2)), 'PX', '3600000')
"""
"""What a decision asks of Redis when its counters are there, with nothing judged and nothing replied."""

_MINUTE, _DAY = 60_000, 86_400_000

Words = tuple[bytes, ...]


def words(limits: int, number: int, *, domains: int = setting.DOMAINS, now: int = 0, instance: str = "") -> Words:
    """Return what stands behind ``EVALSHA sha`` for a recipient of a new message."""
    account = f"domain{number % domains}.test"
    names = list(setting.LIMITS)[:limits]
    charges = tuple(Charge(CounterType.RING, name, account, 1, 10**8, 3_600_000) for name in names)
    record = Record("host", instance or f"i{number}", "RCPT a@b.test", 3_600_000)
    return encode(Call(Op.CHARGE, account, record, charges), now, 0, b"seed")


def usec(
    client: redis_py.Redis, sha: str, command: Callable[[int], Words], *, start: int = 0, calls: int = CALLS
) -> float:
    """Return what Redis says that a call of a script costs."""
    client.config_resetstat()
    numbers = iter(range(start, start + calls))
    while some := list(islice(numbers, 500)):
        pipeline = client.pipeline(transaction=False)
        for number in some:
            pipeline.execute_command("EVALSHA", sha, *command(number))  # type: ignore[no-untyped-call]
        pipeline.execute()
    return float(client.info("commandstats")["cmdstat_evalsha"]["usec_per_call"])


def beside_two_commands(client: redis_py.Redis) -> str:
    """Return a table of the script under some limits, of its commands alone, and of a script of two commands."""
    script, commands, two = (client.script_load(text) for text in (Script().text, _COMMANDS, _TWO))
    found: dict[str, list[float]] = {}
    for _ in range(PASSES):
        client.flushall()
        plain = usec(client, two, lambda n: (b"1", b"two%d" % (n % setting.DOMAINS), b"1", b"60"))
        found.setdefault("two commands: INCRBY, EXPIRE", []).append(plain)
        for limits in (1, 2, 4):
            client.flushall()
            name = f"{limits} limit{'s' * (limits > 1)}"
            found.setdefault(f"a decision under {name}", []).append(usec(client, script, partial(words, limits)))
            alone = usec(client, commands, partial(words, limits), start=CALLS)
            found.setdefault(f"the commands of it alone, {name}", []).append(alone)
    base, *_ = (median(values) for values in found.values())
    rows = [(name, f"{median(values):.1f}", f"{median(values) / base:.1f}") for name, values in found.items()]
    return report.table(("script", "us a call", "times the two commands"), rows)


def growing(client: redis_py.Redis) -> str:
    """Return a table of what a call costs at the beginning, after weeks, and with a larger list."""
    sha, begun = client.script_load(Script().text), int(time.time() * 1000)
    found: dict[str, list[float]] = {}
    for count in MEMBERS:
        client.flushall()
        listed = partial(_to_a_list, count, begun)
        usec(client, sha, listed, calls=count)
        found[f"a list of {count:,} members, to each of them again"] = [
            usec(client, sha, listed, start=start) for start in range(count, count + PASSES * CALLS, CALLS)
        ]
    client.flushall()
    weeks = [usec(client, sha, partial(_later, begun), start=CALLS * number) for number in range(3 * PASSES)]
    days = PASSES * CALLS * _MINUTE // _DAY
    found[f"1 limit, a message a minute, the first {days} days"] = weeks[:PASSES]
    found[f"1 limit, a message a minute, {days} days that follow {2 * days} days"] = weeks[2 * PASSES :]
    rows = [(name, f"{median(values):.1f}") for name, values in found.items()]
    return report.table(("what a counter has behind it", "us a call"), rows)


def _to_a_list(members: int, begun: int, number: int) -> Words:
    member = Member(str((number % members * 0x9E3779B97F4A7C15) % 2**64 - 2**63), None, 10, 20)
    charge = Charge(CounterType.SET, "size", "news@domain1.test", 1, 10**8, 7 * _DAY, member=member)
    return encode(Call(Op.CHARGE, "domain1.test", None, (charge,)), begun + number, 0, b"seed")


def _later(begun: int, number: int) -> Words:
    return words(1, number, domains=1, now=begun + number * _MINUTE)


def benchmarked(socket: Path, limits: int, pipelined: int) -> list[float]:
    """Return decisions a second and us (p50, p99) of redis-benchmark with the script and real arguments.

    Each call is a recipient of a new message in one domain; nobody builds or reads anything.
    """
    client = redis_py.Redis(unix_socket_path=str(socket))
    count, *rest = words(limits, 7, instance="i__rand_int__")
    keys, argv = rest[: int(count)], rest[int(count) :]
    # redis-benchmark sends plain text only, so the arguments stand in the script.
    text = b"local ARGV = {%b}\n" % b", ".join(map(_literal, argv)) + Script().text
    sha = client.script_load(text)
    command = [shutil.which("redis-benchmark") or "redis-benchmark", "-s", str(socket), "-c", str(setting.CONNECTIONS)]
    command += ["-n", str(BENCHMARKED), "-P", str(pipelined), "-r", "1000000000", "--csv"]
    command += ["EVALSHA", sha, count.decode(), *map(bytes.decode, keys)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    row = next(csv.DictReader(done.stdout.splitlines()[-2:]))
    assert client.dbsize() > BENCHMARKED / 2, "redis-benchmark charged nothing"
    client.flushall()
    return [float(row["rps"]), *(1000 * float(row[f"{name}_latency_ms"]) for name in ("p50", "p99"))]


def _literal(argument: bytes) -> bytes:
    """Return a byte string as Lua writes it."""
    return b"'%b'" % b"".join(b"\\%03d" % byte for byte in argument)


def main() -> None:
    """Measure, print and write the section."""
    noise = report.Noise()
    with setting.folder() as folder, setting.redis(folder / "redis.sock"):
        client = redis_py.Redis(unix_socket_path=str(folder / "redis.sock"))
        parts = [beside_two_commands(client), growing(client)]
    report.write("script", "\n\n".join(["## The script inside Redis", *parts, noise.said()]))


if __name__ == "__main__":
    main()
