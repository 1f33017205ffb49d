"""Last logins: written seldom, bounded in every way, and kept until Redis takes them."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from policyd.policy.idle import Seen
from policyd.store.last import DAY, EVERY, KEPT, REMEMBERED, WAITING, LastLogins
from tests.store.test_index import NotedStore
from tests.support.redis import RedisServer

TODAY = 20_000
NOON = TODAY * DAY + DAY // 2
BOB = "bob@example.org"

Scenario = Callable[[LastLogins, NotedStore], Awaitable[None]]


def run(server: RedisServer, scenario: Scenario) -> None:
    """Run a scenario with last logins of its own."""

    async def whole() -> None:
        store = NotedStore(server.url, 5000)
        try:
            await scenario(LastLogins(store), store)
        finally:
            await store.close()

    asyncio.run(whole())


def writes(store: NotedStore) -> int:
    """Return how many logins were written."""
    return sum(words[0] == "SET" for words in store.asked)


def test_the_last_login_by_each_protocol_is_kept(redis_server: RedisServer) -> None:
    """POP3 and IMAP stand side by side; other logins than to fetch mail are none."""

    async def scenario(last: LastLogins, _: NotedStore) -> None:
        last.logged_in(BOB, "pop3", NOON - 3 * DAY)
        last.logged_in(BOB, "imap", NOON - 2 * DAY)
        last.logged_in(BOB, "smtp", NOON)
        await last.flush()
        assert await last.seen([BOB, "eve@example.org"], TODAY) == [
            Seen(TODAY - 3, TODAY - 2, TODAY),
            Seen(None, None, TODAY),
        ]
        assert await last.watched() == [TODAY - 3, TODAY - 2]

    run(redis_server, scenario)


def test_a_busy_mailbox_is_written_once_an_hour(redis_server: RedisServer) -> None:
    """Of 60 logins in an hour one is written, by each protocol."""

    async def scenario(last: LastLogins, store: NotedStore) -> None:
        for minute in range(60):
            for protocol in ("pop3", "imap"):
                last.logged_in(BOB, protocol, NOON + minute * 60_000)
            await last.flush()
        assert writes(store) == 2
        last.logged_in(BOB, "pop3", NOON + EVERY)
        await last.flush()
        assert writes(store) == 3

    run(redis_server, scenario)


def test_a_day_is_watched_whoever_logged_in(redis_server: RedisServer) -> None:
    """Each day with a login is kept once, in order, for as long as logins are."""

    async def scenario(last: LastLogins, _: NotedStore) -> None:
        for day in (0, KEPT - 1, KEPT, KEPT):
            last.logged_in(f"{day}@example.org", "imap", NOON + day * DAY)
            await last.flush()
        assert await last.watched() == [TODAY + KEPT - 1, TODAY + KEPT]

    run(redis_server, scenario)


def test_a_mailbox_is_listed_since_the_first_list(redis_server: RedisServer) -> None:
    """The day on which a mailbox was first asked about stays, with or without logins."""

    async def scenario(last: LastLogins, _: NotedStore) -> None:
        assert await last.seen([BOB], TODAY) == [Seen(None, None, TODAY)]
        last.logged_in(BOB, "pop3", NOON + DAY)
        await last.flush()
        assert await last.seen([BOB], TODAY + 5) == [Seen(TODAY + 1, None, TODAY)]

    run(redis_server, scenario)


def test_every_key_has_an_expiry(redis_server: RedisServer) -> None:
    """All that is written fades, a mailbox's keys on the slot of its domain."""

    async def scenario(last: LastLogins, _: NotedStore) -> None:
        last.logged_in(BOB, "pop3", NOON)
        await last.flush()
        await last.seen([BOB], TODAY)
        await last.seen([BOB], TODAY)

    run(redis_server, scenario)
    with redis_server.client() as client:
        names = {bytes(name).decode(): client.pttl(name) for name in client.scan_iter()}
    prefix = "policyd:1:{example.org}:login"
    assert set(names) == {f"{prefix}:pop3:{BOB}", f"{prefix}:listed:{BOB}", "policyd:1:index:watched"}
    assert all((KEPT - 1) * DAY < left <= KEPT * DAY for left in names.values())


def test_what_redis_does_not_take_is_written_later(redis_server: RedisServer) -> None:
    """An outage loses no login; ``flush`` never raises."""

    async def scenario(last: LastLogins, store: NotedStore) -> None:
        last.logged_in(BOB, "pop3", NOON)
        await store.command("CONFIG", "SET", "maxmemory", "1")
        await last.flush()
        await store.command("CONFIG", "SET", "maxmemory", "0")
        await last.flush()
        assert await last.seen([BOB], TODAY) == [Seen(TODAY, None, TODAY)]
        assert await last.watched() == [TODAY]

    run(redis_server, scenario)


def test_what_is_kept_in_memory_is_bounded(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """More logins than may wait are dropped; of more mailboxes than are remembered, some are written again."""
    assert (WAITING, REMEMBERED) == (10_000, 50_000)
    monkeypatch.setattr("policyd.store.last.WAITING", 5)
    monkeypatch.setattr("policyd.store.last.REMEMBERED", 3)

    async def scenario(last: LastLogins, store: NotedStore) -> None:
        for number in range(7):
            last.logged_in(f"{number}@example.org", "pop3", NOON)
        await last.flush()
        assert writes(store) == 5
        for number in range(5):
            last.logged_in(f"{number}@example.org", "pop3", NOON + 1)
        await last.flush()
        assert writes(store) == 7

    run(redis_server, scenario)


def test_a_login_while_one_is_written_is_not_lost(redis_server: RedisServer) -> None:
    """What comes while Redis works waits for the next flush, unless it is of the same hour."""

    async def scenario(last: LastLogins, _: NotedStore) -> None:
        last.logged_in(BOB, "pop3", NOON)
        writing = asyncio.ensure_future(last.flush())
        await asyncio.sleep(0)
        last.logged_in(BOB, "pop3", NOON + DAY)
        await writing
        await last.flush()
        assert await last.seen([BOB], TODAY) == [Seen(TODAY + 1, None, TODAY)]

    run(redis_server, scenario)
