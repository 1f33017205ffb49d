"""A store whose calls suffer faults: the real script behind a link that fails as it is told."""

from dataclasses import dataclass, field
from enum import Enum

from policyd.errors import StoreTimeout, StoreUnavailable
from policyd.store.base import Call, Done
from policyd.store.script import LATE
from tests.store.scripted import Scripted
from tests.support.clock import ManualClock

TIMEOUT = 250
"""After how many ms a call is given up."""


class Fault(Enum):
    """What becomes of a call."""

    NONE = "it is answered"
    DOWN = "it is not sent"
    LOST = "it is run, and its answer is lost"
    LATE = "it reaches Redis after it was given up"


@dataclass
class Away:
    """Implements Store: the real script, whose calls suffer a fault."""

    scripted: Scripted
    clock: ManualClock
    fault: Fault = Fault.NONE
    late: list[tuple[Call, int]] = field(default_factory=list)

    @property
    def up(self) -> bool:
        """Whether calls are answered."""
        return self.fault is Fault.NONE

    @property
    def trouble(self) -> str:
        """Why they are not."""
        return "" if self.up else "cannot reach Redis: Connection refused"

    def submit(self, call: Call, done: Done) -> None:
        """Run a call, or not, and answer it, or not."""
        now = self.clock.now()
        if self.fault is Fault.DOWN:
            done(StoreUnavailable(call.op.value, "the link to Redis is down"))
            return
        if self.fault is Fault.NONE:
            done(self.scripted.ask(call, now, now + TIMEOUT))
            return
        if self.fault is Fault.LOST:
            self.scripted.ask(call, now, now + TIMEOUT)
        else:
            self.late.append((call, now + TIMEOUT))
        self.fault = Fault.DOWN  # the breaker has opened
        done(StoreTimeout(call.op.value, TIMEOUT / 1000))

    def run_late(self) -> None:
        """Have Redis read what was given up."""
        for call, not_after in self.late:
            assert self.scripted.reply(call, self.clock.now(), not_after)[0] == LATE
        self.late.clear()
