"""The time that a daemon decides by: the store's, whatever the clock of its own host does."""

import asyncio
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from policyd.clock import Clock, SystemClock
from policyd.metrics import Metrics
from policyd.store.index import Index
from policyd.store.last import LastLogins
from policyd.store.offences import Offences
from policyd.store.redis import RedisStore
from policyd.store.seen import SeenLists
from policyd.store.trail import Trail
from policyd.striker import Striker
from policyd.suspendedfile import SuspendedFile
from policyd.suspension import Suspended, Suspensions
from policyd.upkeep import Upkeep
from policyd.verdicts import Usages
from tests.store.opened import eventually, opened, run
from tests.support.host import Host
from tests.support.redis import RedisServer

HOUR, DAY, YEAR = 3_600_000, 86_400_000, 365 * 86_400_000
AT_REDIS = 1_780_000_000_000

jumps = pytest.mark.parametrize("jump", [YEAR, -YEAR])


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    """Return the clocks of the daemon's host."""
    return Host(monkeypatch)


@jumps
def test_a_host_clock_that_jumps_moves_nothing(host: Host, jump: int) -> None:
    """Before the store has said what time it is, and after it."""
    clock = SystemClock()
    began = clock.now()
    host.jump(jump)
    host.passes(5_000)
    assert clock.now() == began + 5_000
    clock.follow(AT_REDIS)
    host.jump(-jump)
    host.passes(7_000)
    assert clock.now() == AT_REDIS + 7_000


def test_it_goes_on_from_each_answer(host: Host) -> None:
    """Another Redis, or one whose clock was set, is followed, also back."""
    clock = SystemClock()
    for told in (AT_REDIS, AT_REDIS - DAY, AT_REDIS + DAY):
        clock.follow(told)
        host.passes(1)
        assert clock.now() == told + 1


def test_timers_follow_no_wall_clock(host: Host) -> None:
    """A delay, or the patience with a message, is due by the monotonic clock of the loop."""

    async def due() -> float:
        loop = asyncio.get_running_loop()
        asked = loop.time()
        timer = SystemClock().call_later(60_000, lambda: None)
        assert isinstance(timer, asyncio.TimerHandle)
        host.jump(DAY)
        timer.cancel()
        return timer.when() - asked

    assert asyncio.run(due()) == pytest.approx(60.0, abs=5.0)


@jumps
def test_the_suspended_are_known_by_the_time_of_redis(
    redis_server: RedisServer, host: Host, tmp_path: Path, jump: int
) -> None:
    """A host that is a year off drops nobody whose time is not over, from the mirror or from the list of all."""

    async def main() -> None:
        clock = SystemClock()
        async with opened(redis_server.url, clock=clock) as box:
            await box.until(up=True)
            host.jump(jump)
            told, mirror = Suspensions(box.store), Suspensions(box.store)
            now = await box.store.time()
            await told.put(_suspended("a.test", now))
            running = asyncio.create_task(_upkeep(clock, box.store, mirror, tmp_path).run())
            await eventually(lambda: mirror.accounts() == 1, "the mirror has the one")
            host.jump(jump)
            await told.put(_suspended("b.test", now))
            await eventually(lambda: mirror.accounts() == 2, "the mirror has both")
            running.cancel()
            assert [one.account for one in mirror.all(clock.now())] == ["a.test", "b.test"]
            assert mirror.find("a.test", ("domain",), clock.now()) is not None
            assert clock.now() == pytest.approx(await box.store.time(), abs=30_000)

    run(main())


def _suspended(account: str, now: int) -> Suspended:
    return Suspended(account, "domain", account, now, now + HOUR, "root (uid 0)", "ticket 4711", "7KQ2M0XW9A")


def _upkeep(clock: Clock, store: RedisStore, suspensions: Suspensions, directory: Path) -> Upkeep:
    metrics, index, trail = Metrics(CollectorRegistry(), "0"), Index(store), Trail(store)
    usages = Usages(metrics, index, lambda *_: None)
    striker = Striker(Offences(store), suspensions, trail, metrics.trapped)
    file, last, seen = SuspendedFile(directory), LastLogins(store), SeenLists(store)
    return Upkeep(clock, store, usages, index, trail, last, suspensions, file, seen, striker)
