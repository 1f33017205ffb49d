"""The index: what people look up, written off the answer's path and bounded in every way."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from policyd.clock import SystemClock
from policyd.errors import StoreError
from policyd.store.index import KEPT, WAITING, Entry, Index
from policyd.store.redis import RedisStore, Watch
from policyd.store.server import Server
from tests.support.redis import RedisServer

HOUR, MONTH = 3_600_000, 30 * 86_400_000
NOON = 1_780_000_000_000

Scenario = Callable[[Index], Awaitable[None]]


class NotedStore(RedisStore):
    """A store that notes the commands that it is asked."""

    def __init__(self, url: str, timeout: int) -> None:
        super().__init__(Server(url), timeout, SystemClock(), Watch(lambda _: None, lambda _: None))
        self.asked: list[tuple[str | bytes | int, ...]] = []

    async def command(self, *args: str | bytes | int) -> Any:
        """Ask, and note it."""
        self.asked.append(args)
        return await super().command(*args)


def run(server: RedisServer, scenario: Scenario, timeout: int = 5000) -> list[tuple[str | bytes | int, ...]]:
    """Run a scenario with an index of its own, and return the commands that it asked."""

    async def whole() -> list[tuple[str | bytes | int, ...]]:
        store = NotedStore(server.url, timeout)
        try:
            await scenario(Index(store))
        finally:
            await store.close()
        return store.asked

    return asyncio.run(whole())


def entry(number: int = 0, limit: str = "domain-hourly") -> Entry:
    """Return the counter of a domain."""
    return Entry(f"d{number}.test", limit, f"d{number}.test")


def test_fullest(redis_server: RedisServer) -> None:
    """The fullest counters come first, as full as they were when last seen."""

    async def scenario(index: Index) -> None:
        for number, ratio in enumerate([0.1, 0.9, 0.5]):
            index.used(entry(number), ratio, NOON, HOUR)
        await index.flush()
        index.used(entry(0), 1.5, NOON, HOUR)
        await index.flush()

        assert await index.fullest() == [entry(0), entry(1), entry(2)]
        assert await index.fullest(1) == [entry(0)]

    run(redis_server, scenario)


def test_strange_names(redis_server: RedisServer) -> None:
    """A subject of any bytes is read as it was written."""
    strange = Entry("user:\udcff", "domain-hourly", 'a b"=\x1b\x00ü')

    async def scenario(index: Index) -> None:
        index.used(strange, 1.0, NOON, HOUR)
        index.observed(strange, NOON)
        await index.flush()

        assert await index.fullest() == [strange]
        assert await index.would_refuse(NOON) == [(strange, NOON)]

    run(redis_server, scenario)


def test_what_has_faded(redis_server: RedisServer) -> None:
    """A counter that nothing was put on for its window makes room for those in use, however full it was."""

    async def scenario(index: Index) -> None:
        for number in range(KEPT):
            index.used(entry(number), 1.0, NOON, HOUR)
            if number % 100 == 99:
                await index.flush()
        index.used(entry(9000, "daily"), 0.2, NOON, 24 * HOUR)
        await index.flush()
        assert entry(9000, "daily") not in await index.fullest()
        index.used(entry(9001), 0.1, NOON + HOUR, HOUR)
        await index.flush()

        assert await index.fullest() == [entry(9001)]

    run(redis_server, scenario)


def test_forget(redis_server: RedisServer) -> None:
    """What turned out to be empty is dropped."""

    async def scenario(index: Index) -> None:
        index.used(entry(0), 1.0, NOON, HOUR)
        index.used(entry(1), 1.0, NOON, HOUR)
        await index.flush()
        await index.forget([entry(0), entry(7)])

        assert await index.fullest() == [entry(1)]

    run(redis_server, scenario)


def test_would_refuse(redis_server: RedisServer) -> None:
    """Who would have been refused is told with the last time, latest first, not further back than asked for."""

    async def scenario(index: Index) -> None:
        for number, when in [(0, NOON), (1, NOON + 5), (2, NOON - 1), (0, NOON + 9)]:
            index.observed(entry(number), when)
            await index.flush()

        assert await index.would_refuse(NOON) == [(entry(0), NOON + 9), (entry(1), NOON + 5)]

    run(redis_server, scenario)


def test_story(redis_server: RedisServer) -> None:
    """The story of a reference is kept for 30 days."""

    async def scenario(index: Index) -> None:
        index.episode("TCHJYXJJES", {"limit": "domain-hourly", "used": 400, "user": "\udcff@a.test"})
        await index.flush()

    run(redis_server, scenario)
    with redis_server.client() as client:
        (key,) = client.keys("policyd:1:index:ref:*")
        assert key == b"policyd:1:index:ref:TCHJYXJJES"
        assert json.loads(client.get(key)) == {"limit": "domain-hourly", "used": 400, "user": "\udcff@a.test"}
        assert MONTH - 60_000 < client.pttl(key) <= MONTH


def test_nothing_grows_without_end(redis_server: RedisServer) -> None:
    """After a flood each set has so many members, every key an expiry, and no command was long."""

    async def scenario(index: Index) -> None:
        for batch in range(8):
            for number in range(WAITING + 1):
                index.used(entry(number + batch * WAITING), 1 / (number + 1), NOON + batch, HOUR)
                index.observed(entry(number + batch * WAITING), NOON + number)
            for number in range(500):
                index.episode(f"REF{batch}{number}", {"used": number})
            await index.flush()

    asked = run(redis_server, scenario)
    with redis_server.client() as client:
        sizes = {name: client.zcard(f"policyd:1:index:{name}") for name in ("fullest", "fades", "observed")}
        lifetimes = [client.pttl(key) for key in client.keys("*")]
    assert sizes == {"fullest": KEPT, "fades": KEPT, "observed": KEPT}
    assert len(lifetimes) == 3 + 8 * 500
    assert all(0 < left <= MONTH for left in lifetimes)
    assert max(len(args) for args in asked) <= 2 + 2 * 100


def test_what_waits_is_bounded(redis_server: RedisServer) -> None:
    """Between two flushes only so much is remembered, of each kind; of counters the fullest."""

    async def scenario(index: Index) -> None:
        for number in range(WAITING + 10):
            index.used(entry(number), number, NOON, HOUR)
            index.observed(entry(number), NOON + number)
            index.episode(f"REF{number}", {})
        await index.flush()

        assert (await index.fullest(1))[0] == entry(WAITING + 9)
        assert (await index.would_refuse(0))[0] == (entry(WAITING - 1), NOON + WAITING - 1)

    run(redis_server, scenario)
    with redis_server.client() as client:
        assert len(client.keys("policyd:1:index:ref:*")) == WAITING


def test_without_a_store(redis_server: RedisServer) -> None:
    """While the store hangs what was noted may be lost, nothing is raised, and later notes are written."""

    async def scenario(index: Index) -> None:
        index.used(entry(0), 1.0, NOON, HOUR)
        index.observed(entry(0), NOON)
        index.episode("REF", {})
        redis_server.pause()
        await index.flush()
        with pytest.raises(StoreError):
            await index.fullest()
        redis_server.resume()
        async with asyncio.timeout(20):
            while entry(1) not in await found(index):
                index.used(entry(1), 1.0, NOON, HOUR)
                await index.flush()

    run(redis_server, scenario, timeout=50)


async def found(index: Index) -> list[Entry]:
    """Return the fullest, none while the store does not answer."""
    try:
        return await index.fullest()
    except StoreError:
        await asyncio.sleep(0)
        return []
