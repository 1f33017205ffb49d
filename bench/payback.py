"""How long it takes to pay back what was let through without Redis, and what others notice of it.

    python -m bench.payback

A daemon's share of it alone: its counting in memory, its link to a private Redis, the script there.
"""

import asyncio
import resource
import statistics
import time
from contextlib import suppress
from itertools import count
from pathlib import Path

import uvloop

from bench import setting
from policyd.clock import SystemClock
from policyd.errors import StoreError
from policyd.model import Charge, CounterType, Outcome
from policyd.store.base import Call, Op, Record
from policyd.store.local.store import LocalStore
from policyd.store.local.unpaid import MOST
from policyd.store.redis import RedisStore, Watch
from policyd.store.server import Server
from policyd.suspension import Suspensions

_EVERY = 0.02
_PLANS = [
    tuple(
        Charge(CounterType.RING, limit, f"domain{number}.test", 1, 100_000_000, 3_600_000)
        for limit in ("domain-hourly", "domain-daily")
    )
    for number in range(setting.DOMAINS)
]


def call(number: int) -> Call:
    """Return the charge of a recipient of a message of its own."""
    record = Record("mx", f"43ac.6b025c8e.{number:x}.0", f"RCPT r{number}@remote.test", 210_000)
    return Call(Op.CHARGE, f"domain{number % setting.DOMAINS}.test", record, _PLANS[number % setting.DOMAINS])


async def others(store: RedisStore) -> list[float]:
    """Return what calls for other accounts took, in ms, until this is cancelled."""
    took, numbers = list[float](), count(2 * MOST)
    try:
        while True:
            await asyncio.sleep(_EVERY)
            begun = time.perf_counter()
            with suppress(StoreError):  # what waited in vain has waited, too
                await store.ask(call(next(numbers))._replace(account="other.test"))
            took.append(1000 * (time.perf_counter() - begun))
    except asyncio.CancelledError:
        return took


def memory() -> float:
    """Return the most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def measured(folder: Path) -> None:
    """Fill, start Redis, pay."""
    socket = folder / "redis.sock"
    came = asyncio.Event()
    heard = Watch(lambda _: None, lambda up: came.set() if up else None)
    redis = RedisStore(Server(f"unix://{socket}"), 250, SystemClock(), heard)
    find = Suspensions(redis).find
    store = LocalStore(redis, 0.25, SystemClock(), nodes=lambda: 1, suspended=find, paid=lambda *_: None)
    while redis.breaker_open or not await failed(store):
        pass
    before, begun = memory(), time.perf_counter()
    for number in range(MOST):
        store.submit(call(number), _ignore)
    took = time.perf_counter() - begun
    print(f"{store.unpaid} charges counted in memory: {took / MOST * 1e6:.1f} us each, {memory() - before:.0f} MB")
    with setting.redis(socket):
        await came.wait()
        noticing, begun = asyncio.create_task(others(redis)), time.perf_counter()
        while store.unpaid:
            await store.pay()
        took = time.perf_counter() - begun
        noticing.cancel()
        waits = sorted(await noticing)
        await redis.close()
    percentile, longest = waits[int(0.99 * len(waits))], waits[-1]
    print(f"paid back in {took:.0f} s, {MOST / took:.0f} a second")
    median = statistics.median(waits)
    print(f"others waited for Redis: {median:.1f} ms, p99 {percentile:.1f} ms, at most {longest:.1f} ms")


async def failed(store: LocalStore) -> bool:
    """Return whether the store is away for good, as far as a call of no message can tell."""
    future: asyncio.Future[Outcome | StoreError] = asyncio.get_running_loop().create_future()
    store.submit(Call(Op.PEEK, "other.test", None, _PLANS[0]), future.set_result)
    return isinstance(await future, StoreError)


def _ignore(_: object) -> None:
    """Hear an answer."""


def main() -> None:
    """Measure."""
    with setting.folder() as folder:
        uvloop.run(measured(folder))


if __name__ == "__main__":
    main()
