"""Waiting for a condition with a deadline: the one place where tests look again and again."""

from collections.abc import Callable
from threading import Event
from time import monotonic
from typing import TypeVar

LOOK_EVERY = 0.01
DEADLINE = 20.0

T = TypeVar("T")


def until(condition: Callable[[], T], what: str, deadline: float = DEADLINE) -> T:
    """Return the first true value of ``condition()``.

    Raises AssertionError, which names ``what`` was waited for, after ``deadline`` seconds.
    """
    end = monotonic() + deadline
    pause = Event()
    while not (value := condition()):
        if monotonic() > end:
            raise AssertionError(f"waited {deadline:g} s in vain: {what}")
        pause.wait(LOOK_EVERY)
    return value
