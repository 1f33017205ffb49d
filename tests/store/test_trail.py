"""The trails of events: one of each account, one of all, bounded, and never in the way."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from policyd.clock import SystemClock
from policyd.event import Event, EventKind
from policyd.store.redis import RedisStore, Watch
from policyd.store.server import Server
from policyd.store.trail import KEPT, START, WAITING, Trail
from tests.support.redis import RedisServer

NOON = 1_780_000_000_000
MONTH = 30 * 86_400_000
ALL = "policyd:1:index:events"

T = TypeVar("T")


def event(number: int = 0, account: str = "a.test", **changed: Any) -> Event:
    """Return a suspension of an account, told apart by its reason."""
    made = Event(NOON + number, EventKind.SUSPEND, account, account, "root (uid 0)", f"reason {number}")
    return made._replace(**changed)


def run(server: RedisServer, scenario: Callable[[Trail], Awaitable[T]], timeout: int = 5000) -> T:
    """Run a scenario with a trail of its own."""

    async def whole() -> T:
        store = RedisStore(Server(server.url), timeout, SystemClock(), Watch(lambda _: None, lambda _: None))
        try:
            return await scenario(Trail(store))
        finally:
            await store.close()

    return asyncio.run(whole())


def test_what_somebody_does_is_in_both_trails_at_once(redis_server: RedisServer) -> None:
    """Oldest first, whole, and the other account's not among them."""
    written = [event(0), event(1, "b.test"), event(2, limit="domain-hourly", ref="7KQ2M0XW9A")]

    async def scenario(trail: Trail) -> None:
        for one in written:
            await trail.write(one)

        assert (await trail.of("a.test", 9)).events == [written[0], written[2]]
        assert (await trail.of("a.test", 1)).events == [written[2]]
        assert (await trail.latest(9)).events == written
        assert (await trail.latest(2)).events == written[1:]

    run(redis_server, scenario)


def test_what_is_noted_is_written_with_the_next_flush(redis_server: RedisServer) -> None:
    """Into the trail of all only: the script has written the account's own."""

    async def scenario(trail: Trail) -> None:
        trail.note(event())

        assert (await trail.latest(9)).events == []
        await trail.flush()
        await trail.flush()
        assert (await trail.latest(9)).events == [event()]
        assert (await trail.of("a.test", 9)).events == []

    run(redis_server, scenario)


def test_each_page_leads_to_the_next(redis_server: RedisServer) -> None:
    """Nothing is shown twice and nothing is left out, from wherever one began."""

    async def scenario(trail: Trail) -> None:
        assert (await trail.latest(9)).place == (await trail.of("a.test", 9)).place == START
        for number in range(5):
            await trail.write(event(number))
        of_account, first = (await trail.of("a.test", 9)).place, (await trail.latest(1)).place
        page = await trail.after(START, 2)
        rest = await trail.after(page.place, 9)

        assert [*page.events, *rest.events] == [event(number) for number in range(5)]
        assert of_account == first == rest.place
        assert await trail.after(rest.place, 9) == ([], rest.place)

    run(redis_server, scenario)


def test_the_trails_do_not_grow_without_end(redis_server: RedisServer) -> None:
    """An account keeps its last 200; what waits is bounded; both trails expire."""

    async def scenario(trail: Trail) -> None:
        for number in range(KEPT + 5):
            await trail.write(event(number))
        for number in range(WAITING + 5):
            trail.note(event(number, "b.test"))
        await trail.flush()

        assert [one.at - NOON for one in (await trail.of("a.test", 999)).events] == list(range(5, KEPT + 5))

    run(redis_server, scenario)
    with redis_server.client() as client:
        assert client.xlen(ALL) == KEPT + 5 + WAITING
        assert all(0 < int(client.pttl(key)) <= MONTH for key in (ALL, "policyd:1:{a.test}:events"))


def test_what_the_script_writes_is_read(redis_server: RedisServer) -> None:
    """A refusal has numbers where an event of somebody has a reason."""
    refusal = {
        "at": NOON, "event": "refusal", "ref": "7KQ2M0XW9A", "limit": "domain-hourly", "subject": "a.test",
        "used": 400, "max": 400, "fits_at": NOON, "observed": True,
    }  # fmt: skip
    with redis_server.client() as client:
        client.lpush("policyd:1:{a.test}:events", json.dumps(refusal))

    async def scenario(trail: Trail) -> list[Event]:
        return (await trail.of("a.test", 9)).events

    assert run(redis_server, scenario) == [
        Event(NOON, "refusal", "a.test", "a.test", "", "400 of 400 used, observed only", "domain-hourly", "7KQ2M0XW9A")
    ]


def test_with_the_store_away_noted_events_are_dropped(redis_server: RedisServer) -> None:
    """The index is no place that anything waits for."""
    with redis_server.client() as client:
        client.config_set("maxmemory", 1)

    async def scenario(trail: Trail) -> list[Event]:
        trail.note(event())
        await trail.flush()
        with redis_server.client() as client:
            client.config_set("maxmemory", 0)
        await trail.flush()
        return (await trail.latest(9)).events

    assert run(redis_server, scenario) == []
