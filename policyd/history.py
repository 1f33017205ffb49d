"""The last window of each counter in parts, for ``policyd status SUBJECT``."""

from collections.abc import Iterable
from dataclasses import replace

from policyd.model import CounterType
from policyd.status import Gauge
from policyd.store import keys
from policyd.store.cells import history
from policyd.store.redis import RedisStore

PARTS = 30


async def with_history(store: RedisStore, gauges: Iterable[Gauge], now: int) -> list[Gauge]:
    """Return the gauges with what their counters held in each part of the window before ``now``. Raises StoreError."""
    return [replace(gauge, history=await _history(store, gauge, now)) for gauge in gauges]


async def _history(store: RedisStore, gauge: Gauge, now: int) -> tuple[int, ...]:
    """Return what a counter holds; a limit whose maximum has changed may go on with that of the other type."""
    for kind in (CounterType.RING, CounterType.LOG):
        raw = await store.command("GET", keys.counter(keys.tag(gauge.account), kind, gauge.limit, gauge.subject))
        if raw:
            return history(kind, raw, now, gauge.window, PARTS)
    return (0,) * PARTS
