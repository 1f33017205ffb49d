"""The clocks of the host that a daemon runs on: the wall clock can be set, the other one cannot."""

import pytest

from tests.support.clock import START

BOOTED = 1_000_000
"""What the monotonic clock shows in the beginning, in ms."""


class Host:
    """Stands in for the module time where policyd.clock asks it. Both clocks stand still until a test moves them."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._wall, self._monotonic = START, BOOTED
        patch.setattr("policyd.clock.time", self)

    def time_ns(self) -> int:
        """Return what the wall clock shows."""
        return self._wall * 1_000_000

    def monotonic_ns(self) -> int:
        """Return what the clock shows that nobody can set."""
        return self._monotonic * 1_000_000

    def jump(self, by: int) -> None:
        """Set the wall clock, by ``by`` ms; no time passes."""
        self._wall += by

    def passes(self, time: int) -> None:
        """Let ``time`` ms pass."""
        self._wall, self._monotonic = self._wall + time, self._monotonic + time
