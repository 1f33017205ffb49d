"""Suspensions in the store, and the mirror of them that each daemon keeps."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from policyd.clock import SystemClock
from policyd.model import Suspension
from policyd.store.redis import RedisStore, Watch
from policyd.store.server import Server
from policyd.suspension import Suspended, Suspensions, new_ref
from tests.support.redis import RedisServer

NOON = 1_780_000_000_000
HOUR, WEEK, YEAR = 3_600_000, 7 * 86_400_000, 365 * 86_400_000
STATE, ALL = "policyd:1:{a.test}:state", "policyd:1:index:suspended"

T = TypeVar("T")


def suspended(account: str = "a.test", name: str = "domain", at: int = NOON, until: int = 0) -> Suspended:
    """Return a suspension."""
    return Suspended(account, name, account, at, until, "root (uid 0)", "ticket 4711", new_ref())


def run(server: RedisServer, scenario: Callable[[Suspensions, Suspensions], Awaitable[T]]) -> T:
    """Run a scenario with the mirrors of two daemons."""

    async def whole() -> T:
        stores = [
            RedisStore(Server(server.url), 5000, SystemClock(), Watch(lambda _: None, lambda _: None)) for _ in range(2)
        ]
        try:
            return await scenario(Suspensions(stores[0]), Suspensions(stores[1]))
        finally:
            for store in stores:
                await store.close()

    return asyncio.run(whole())


def test_the_mirror_knows_what_is_in_force(redis_server: RedisServer) -> None:
    """At once on the daemon that was told, with the next refresh on the others."""

    async def scenario(told: Suspensions, other: Suspensions) -> None:
        first, second = suspended(at=NOON), suspended("b.test", "user:bob@b.test", at=NOON + 1)
        await told.put(second)
        await told.put(first)
        found = Suspension("domain", 0, first.ref)

        assert told.find("a.test", ("domain", "user:x@a.test"), NOON) == found
        assert other.find("a.test", ("domain",), NOON) is None
        await other.refresh(NOON)
        assert other.find("a.test", ("domain",), NOON) == found
        assert other.find("b.test", ("domain", "user:bob@b.test"), NOON) is not None
        assert other.find("b.test", ("domain",), NOON) is None
        assert other.all(NOON) == told.all(NOON) == [first, second]
        assert other.accounts() == told.accounts() == 2

    run(redis_server, scenario)


def test_what_is_ended_is_in_no_mirror(redis_server: RedisServer) -> None:
    """Whoever ended it."""

    async def scenario(told: Suspensions, other: Suspensions) -> None:
        one = suspended()
        await told.put(one)
        await other.refresh(NOON)

        assert await other.end("a.test", "domain") == one
        assert other.all(NOON) == []
        await told.refresh(NOON)
        assert told.all(NOON) == []
        assert await told.end("a.test", "domain") is None

    run(redis_server, scenario)


def test_another_suspension_of_the_same_subject_takes_its_place(redis_server: RedisServer) -> None:
    """A longer one, or a shorter one."""

    async def scenario(told: Suspensions, other: Suspensions) -> None:
        await told.put(suspended())
        last = suspended(at=NOON + 1, until=NOON + HOUR)
        await told.put(last)
        await other.refresh(NOON)

        assert other.all(NOON) == [last]

    run(redis_server, scenario)


def test_what_is_over_is_forgotten(redis_server: RedisServer) -> None:
    """Not before, and a new one of the same subject is not taken for it."""

    async def scenario(told: Suspensions, other: Suspensions) -> None:
        await told.put(suspended(until=NOON + HOUR))
        assert told.find("a.test", ("domain",), NOON + HOUR - 1) is not None
        assert told.find("a.test", ("domain",), NOON + HOUR) is None
        assert told.all(NOON + HOUR) == []

        assert await other.refresh(NOON + HOUR - 1) == []
        assert other.accounts() == 1
        ended = [one.account for one in await other.refresh(NOON + HOUR) + await told.refresh(NOON + HOUR)]
        assert ended == ["a.test"], "one of the daemons tells of it"
        assert other.accounts() == told.accounts() == 0

    run(redis_server, scenario)
    with redis_server.client() as client:
        assert client.hlen(ALL) == 0


def test_the_keys_live_as_long_as_the_longest_suspension(redis_server: RedisServer) -> None:
    """One that ends when it is resumed outlives every shorter one."""

    async def scenario(told: Suspensions, _: Suspensions) -> None:
        await told.put(suspended(name="user:a@a.test", until=NOON + HOUR))

    run(redis_server, scenario)
    with redis_server.client() as client:
        assert 0 < int(client.pttl(STATE)) <= HOUR
        assert HOUR < int(client.pttl(ALL)) <= HOUR + WEEK  # so that somebody sees that it has ended

    async def longer(told: Suspensions, _: Suspensions) -> None:
        await told.put(suspended())
        await told.put(suspended(name="user:b@a.test", until=NOON + HOUR))

    run(redis_server, longer)
    with redis_server.client() as client:
        assert int(client.pttl(STATE)) > 50 * YEAR
        assert int(client.pttl(ALL)) > 50 * YEAR


def test_a_refresh_without_the_store_forgets_nothing(redis_server: RedisServer) -> None:
    """That is what the mirror is for."""

    async def scenario(told: Suspensions, _: Suspensions) -> None:
        one = suspended()
        await told.put(one)
        with redis_server.client() as client:
            client.rename(ALL, "away")
            client.set(ALL, "what Redis refuses to read as a hash")
        await told.refresh(NOON)

        assert told.all(NOON) == [one]

    run(redis_server, scenario)


def test_strange_names_survive(redis_server: RedisServer) -> None:
    """What Postfix sent undecodable, and what is longer than a key may be."""

    async def scenario(told: Suspensions, other: Suspensions) -> None:
        strange = [suspended("user:b\udcff", "domain"), suspended("a.test", f"user:{'x' * 300}@a.test")]
        for one in strange:
            await told.put(one)
        await other.refresh(NOON)

        assert sorted(other.all(NOON)) == sorted(strange)
        assert await other.end(*strange[1][:2]) == strange[1]

    run(redis_server, scenario)
