"""A clock that stands still until a test moves it."""

import heapq
from collections.abc import Callable
from itertools import count

START = 1_780_000_000_000
"""Where a manual clock begins, in ms since the epoch: 2026-05-28 20:26:40 UTC."""


class ManualTimer:
    """A callback that waits for its moment on a manual clock."""

    def __init__(self, delay: int, callback: Callable[[], None]) -> None:
        self.delay = delay
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Forget the callback."""
        self.callback = None


class ManualClock:
    """Implements policyd.clock.Clock; the store counts by this clock, too."""

    def __init__(self, start: int = START) -> None:
        self._now = start
        self._timers: list[tuple[int, int, ManualTimer]] = []
        self._numbers = count()

    @property
    def delays(self) -> list[int]:
        """The delays, in ms, that the timers which still wait were made with, the next one first."""
        return [timer.delay for _, _, timer in sorted(self._timers) if timer.callback is not None]

    def now(self) -> int:
        """Return milliseconds since the epoch."""
        return self._now

    def follow(self, store_time: int) -> None:
        """Go on: only a test moves this clock."""

    def store_now(self) -> int:
        """Return the time that the store counts by: the same."""
        return self._now

    def call_later(self, delay: int, callback: Callable[[], None]) -> ManualTimer:
        """Run ``callback`` when the clock has been moved by ``delay`` ms."""
        timer = ManualTimer(delay, callback)
        heapq.heappush(self._timers, (self._now + delay, next(self._numbers), timer))
        return timer

    def advance(self, by: int) -> None:
        """Move the clock by ``by`` ms; what falls due on the way runs at its own moment, in order."""
        end = self._now + by
        while self._timers and self._timers[0][0] <= end:
            self._now, _, timer = heapq.heappop(self._timers)
            if timer.callback is not None:
                timer.callback()
        self._now = end
