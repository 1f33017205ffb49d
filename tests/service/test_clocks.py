"""The clock of the daemon's own host jumps: it counts nothing, ends no suspension and hastens no timer."""

import asyncio
import time

import pytest

from policyd.clock import SystemClock
from policyd.model import Action
from policyd.suspension import Suspended
from tests.support.clock import START, ManualClock
from tests.support.deciding import World

DAY = 86_400_000

jumps = pytest.mark.parametrize("jump", [DAY, -DAY])


class HostClock(ManualClock):
    """The clock of a host that is ``ahead`` of the clock that Redis counts by, in ms."""

    ahead = 0

    def now(self) -> int:
        """Return what the host says."""
        return super().now() + self.ahead


def hosted(world: World) -> HostClock:
    """Give the world a host whose clock can jump, before a daemon is started."""
    clock = HostClock()
    world.clock = clock
    return clock


@jumps
def test_counts_stay(world: World, jump: int) -> None:
    """What was counted before the jump counts after it, and what comes then is added."""
    clock, used = hosted(world), list[int]()
    for ahead in (0, jump, 0):
        clock.ahead = ahead
        world.connection().message().rcpt()
        used.append(world.used())
    assert used == [1, 2, 3]


@jumps
@pytest.mark.parametrize("until", [0, START + 3_600_000])
def test_a_suspension_that_the_script_decides_holds(world: World, jump: int, until: int) -> None:
    """Redis knows when it ends, whatever the daemon's host believes."""
    clock = hosted(world)
    world.run(
        world.daemon.suspensions.put(
            Suspended("example.org", "domain", "example.org", START, until, "root (uid 0)", "ticket", "7KQ2M0XW9A")
        )
    )
    clock.ahead = jump
    assert world.connection().message().rcpt().action is not Action.ACCEPT


def test_timers_follow_no_wall_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A delay, or the patience with a message, that was asked for is due by the monotonic clock of the loop."""

    async def due() -> tuple[float, float]:
        loop, clock, before = asyncio.get_running_loop(), SystemClock(), time.time_ns()
        monkeypatch.setattr(time, "time_ns", lambda: before + DAY * 1_000_000)
        asked = loop.time()
        timer = clock.call_later(60_000, lambda: None)
        assert isinstance(timer, asyncio.TimerHandle)
        timer.cancel()
        return timer.when() - asked, clock.now() - before / 1_000_000

    after, jumped = asyncio.run(due())
    assert after == pytest.approx(60.0, abs=5.0)
    assert jumped == pytest.approx(DAY, abs=5.0)
