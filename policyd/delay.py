"""Answers that wait for the slot of a pace: no thread, no polling, one timer each.

Each holds an smtpd of Postfix meanwhile, so there are places for only so many of them. A place is
taken before the store is asked, since it may grant a slot to come only to an answer that may wait.
"""

from collections import Counter
from collections.abc import Callable
from functools import partial

from policyd.clock import Clock, Timer
from policyd.conf.bounds import DelayBounds

Answer = Callable[[bool], None]
"""Called once: True when the slot has come, False when the daemon ends before."""


class Delays:
    """The delayed answers of one daemon."""

    def __init__(self, clock: Clock, bounds: DelayBounds) -> None:
        self.bounds = bounds
        self._clock = clock
        self._places: Counter[str] = Counter()
        self._taken = 0
        self._waiting: dict[Answer, Timer] = {}
        self._ending = False

    def __len__(self) -> int:
        return len(self._waiting)

    def take(self, account: str) -> bool:
        """Return whether an answer of an account may wait; then it holds a place until ``leave``."""
        if self._taken >= self.bounds.max or self._places[account] >= self.bounds.per_account:
            return False
        self._taken += 1
        self._places[account] += 1
        return True

    def leave(self, account: str) -> None:
        """Give a place back."""
        self._taken -= 1
        self._places[account] -= 1
        if not self._places[account]:
            del self._places[account]

    def wait(self, delay: int, answer: Answer) -> None:
        """Answer in ``delay`` ms."""
        if self._ending:
            answer(False)
            return
        self._waiting[answer] = self._clock.call_later(delay, partial(self._come, answer))

    def end(self) -> None:
        """Let all answers go that still wait, and those that would have to from now on."""
        self._ending = True
        while self._waiting:
            answer, timer = self._waiting.popitem()
            timer.cancel()
            answer(False)

    def _come(self, answer: Answer) -> None:
        del self._waiting[answer]
        answer(True)
