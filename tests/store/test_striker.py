"""Strikes and spam traps, counted in a real Redis, and the suspensions that follow."""

import asyncio
from collections.abc import Awaitable, Callable

from policyd.clock import SystemClock
from policyd.conf.penalty import SpamTraps, Strikes
from policyd.event import Event
from policyd.model import Sure, Traffic, TrafficKind
from policyd.store.offences import Offences
from policyd.store.redis import RedisStore, Watch
from policyd.store.server import Server
from policyd.store.trail import Trail
from policyd.striker import Striker
from policyd.suspension import Suspended, Suspensions, new_ref
from tests.support.redis import RedisServer

NOON = 1_780_000_000_000
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
ALICE = Traffic(TrafficKind.USER, "a.test", Sure.VERIFIED, "alice@a.test", "alice@a.test")
THREE = Strikes(3, DAY, (6 * HOUR, 0))
TRAPS = SpamTraps(frozenset({"old@a.test", "older@a.test"}), suspends=True)


class Court:
    """A striker, and what it did."""

    def __init__(self, store: RedisStore) -> None:
        self.hits = 0
        self.suspensions, self.trail = Suspensions(store), Trail(store)
        self.striker = Striker(Offences(store), self.suspensions, self.trail, self._hit)

    def _hit(self) -> None:
        self.hits += 1

    async def strike(self, at: int, ref: str = "", strikes: Strikes = THREE, traffic: Traffic = ALICE) -> None:
        """Have an episode begin."""
        self.striker.struck(traffic, "user-hourly", strikes, ref or new_ref(), at)
        await self.striker.flush()

    async def trap(self, trap: str, at: int, traps: SpamTraps = TRAPS, message: str = "m1") -> None:
        """Have a mail go to a trap."""
        self.striker.trapped(ALICE, trap, message, traps, at)
        await self.striker.flush()

    def found(self, at: int = NOON) -> list[tuple[str, int, str]]:
        """Return who is suspended: the name, until when, and why."""
        return [(one.name, one.until, one.why) for one in self.suspensions.all(at)]

    async def events(self) -> list[Event]:
        """Return the account's events, oldest first."""
        return (await self.trail.of("a.test", 100)).events


def court(server: RedisServer, scenario: Callable[[Court], Awaitable[None]]) -> None:
    """Run a scenario."""

    async def whole() -> None:
        store = RedisStore(Server(server.url), 5000, SystemClock(), Watch(lambda _: None, lambda _: None))
        try:
            await scenario(Court(store))
        finally:
            await store.close()

    with server.client() as client:
        client.flushall()
    asyncio.run(whole())


def test_enough_strikes_suspend(redis_server: RedisServer) -> None:
    """The third episode within a day suspends for 6 hours, and everything that led there is an event."""

    async def scenario(court: Court) -> None:
        for hour in (0, 1):
            await court.strike(NOON + hour * HOUR)
        assert court.found() == []
        await court.strike(NOON + 2 * HOUR)
        why = "strike 3 of 3 of user-hourly within 1d"
        assert court.found() == [("user:alice@a.test", NOON + 8 * HOUR, why)]
        told = [(event.event, event.subject, event.who, event.limit) for event in await court.events()]
        strike = ("strike", "alice@a.test", "alice@a.test", "user-hourly")
        assert told == [strike, strike, strike, ("suspend", "alice@a.test", "policyd", "user-hourly")]

    court(redis_server, scenario)


def test_an_episode_is_one_strike(redis_server: RedisServer) -> None:
    """However many daemons tell of it."""

    async def scenario(court: Court) -> None:
        for _ in range(5):
            await court.strike(NOON, ref="7KQ2M0XW9A")
        assert court.found() == []

    court(redis_server, scenario)


def test_old_strikes_count_no_more(redis_server: RedisServer) -> None:
    """Two episodes of yesterday and one of today are not three within a day."""

    async def scenario(court: Court) -> None:
        await court.strike(NOON)
        await court.strike(NOON + HOUR)
        await court.strike(NOON + DAY + HOUR)
        assert court.found() == []
        await court.strike(NOON + DAY + 2 * HOUR)
        assert court.found() == []
        await court.strike(NOON + DAY + 3 * HOUR)
        assert len(court.found()) == 1

    court(redis_server, scenario)


def test_the_next_suspension_is_longer(redis_server: RedisServer) -> None:
    """Strikes begin anew after a suspension, which makes the next one longer for 30 days."""

    async def scenario(court: Court) -> None:
        for minute in range(3):
            await court.strike(NOON + minute * MINUTE)
        for minute in range(2):
            await court.strike(NOON + 7 * HOUR + minute * MINUTE)
        assert court.found(NOON + 7 * HOUR) == []
        await court.strike(NOON + 7 * HOUR + 2 * MINUTE)
        assert [until for _, until, _ in court.found(NOON + 7 * HOUR)] == [0]

    court(redis_server, scenario)


def test_strikes_of_the_domain_suspend_the_domain(redis_server: RedisServer) -> None:
    """Where the limit says so."""

    async def scenario(court: Court) -> None:
        await court.strike(NOON, strikes=Strikes(1, DAY, (HOUR,), domain=True))
        assert [name for name, _, _ in court.found()] == ["domain"]

    court(redis_server, scenario)


def test_a_claimed_sender_is_never_struck(redis_server: RedisServer) -> None:
    """Nothing is counted, and nothing told."""

    async def scenario(court: Court) -> None:
        claimed = ALICE._replace(sure=Sure.CLAIMED)
        await court.strike(NOON, strikes=Strikes(1, DAY, (HOUR,)), traffic=claimed)
        court.striker.trapped(claimed, "old@a.test", "m1", TRAPS, NOON)
        await court.striker.flush()
        assert (court.found(), await court.events(), court.hits) == ([], [], 0)

    court(redis_server, scenario)


def test_somebodys_suspension_stays(redis_server: RedisServer) -> None:
    """What a person has put into force for longer is not replaced."""

    async def scenario(court: Court) -> None:
        given = Suspended("a.test", "user:alice@a.test", "alice@a.test", NOON, 0, "root (uid 0)", "ticket 1", new_ref())
        await court.suspensions.put(given)
        await court.strike(NOON, strikes=Strikes(1, DAY, (HOUR,)))
        assert court.suspensions.all(NOON) == [given]

    court(redis_server, scenario)


def test_mail_to_distinct_traps_suspends(redis_server: RedisServer) -> None:
    """The same trap twice is one; the second trap within a day is enough."""

    async def scenario(court: Court) -> None:
        await court.trap("old@a.test", NOON)
        await court.trap("old@a.test", NOON + HOUR, message="m2")
        assert (court.found(), court.hits) == ([], 2)
        await court.trap("older@a.test", NOON + 2 * HOUR)
        why = "mail 2 of 2 to distinct spam traps within 1d"
        assert court.found() == [("user:alice@a.test", 0, why)]

    court(redis_server, scenario)


def test_where_traps_need_not_be_distinct_messages_count(redis_server: RedisServer) -> None:
    """Two messages to one trap are two; one message asked about twice is one."""

    async def scenario(court: Court) -> None:
        traps = SpamTraps(TRAPS.addresses, distinct=False, lasts=HOUR, suspends=True)
        await court.trap("old@a.test", NOON, traps)
        await court.trap("old@a.test", NOON, traps)
        assert court.found() == []
        await court.trap("old@a.test", NOON, traps, message="m2")
        assert [until for _, until, _ in court.found()] == [NOON + HOUR]

    court(redis_server, scenario)


def test_traps_that_report_suspend_nobody(redis_server: RedisServer) -> None:
    """As shipped: events say what would be enough."""

    async def scenario(court: Court) -> None:
        traps = SpamTraps(TRAPS.addresses, count=1)
        await court.trap("old@a.test", NOON, traps)
        assert court.found() == []
        assert [event.event for event in await court.events()] == ["trap"]

    court(redis_server, scenario)


def test_every_key_expires(redis_server: RedisServer) -> None:
    """What was counted goes away with the time in which it counts."""

    async def scenario(court: Court) -> None:
        for minute in range(4):
            await court.strike(NOON + minute * MINUTE)
        await court.trap("old@a.test", NOON)

    court(redis_server, scenario)
    with redis_server.client() as client:
        assert all(client.pttl(key) > 0 for key in client.scan_iter("policyd:*:{a.test}:*"))


def test_a_store_that_is_away_loses_strikes_and_nothing_else(redis_server: RedisServer) -> None:
    """It is said, and the daemon goes on."""

    async def scenario(court: Court) -> None:
        redis_server.pause()
        try:
            court.striker.struck(ALICE, "user-hourly", THREE, new_ref(), NOON)
            await court.striker.flush()
        finally:
            redis_server.resume()

    court(redis_server, scenario)
