"""A daemon that has the time wrong, as before Redis tells it: it counts nothing by it and ends no suspension."""

import pytest

from policyd.model import Action
from policyd.suspension import Suspended
from tests.support.clock import START, ManualClock
from tests.support.deciding import World

DAY = 86_400_000

jumps = pytest.mark.parametrize("jump", [DAY, -DAY])


class WrongClock(ManualClock):
    """A clock that is ``ahead`` of the one that Redis counts by, in ms."""

    ahead = 0

    def now(self) -> int:
        """Return what the daemon believes."""
        return super().now() + self.ahead


def wrong(world: World) -> WrongClock:
    """Give the world a clock that can be wrong, before a daemon is started."""
    clock = WrongClock()
    world.clock = clock
    return clock


@jumps
def test_counts_stay(world: World, jump: int) -> None:
    """What was counted before counts after it, and what comes then is added."""
    clock, used = wrong(world), list[int]()
    for ahead in (0, jump, 0):
        clock.ahead = ahead
        world.connection().message().rcpt()
        used.append(world.used())
    assert used == [1, 2, 3]


@jumps
@pytest.mark.parametrize("until", [0, START + 3_600_000])
def test_a_suspension_that_the_script_decides_holds(world: World, jump: int, until: int) -> None:
    """Redis knows when it ends, whatever the daemon believes."""
    clock = wrong(world)
    world.run(
        world.daemon.suspensions.put(
            Suspended("example.org", "domain", "example.org", START, until, "root (uid 0)", "ticket", "7KQ2M0XW9A")
        )
    )
    clock.ahead = jump
    assert world.connection().message().rcpt().action is not Action.ACCEPT
