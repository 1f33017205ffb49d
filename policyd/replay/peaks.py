"""The most that was asked of a counter in any window, whatever was let through: exact, and kept in memory."""

from collections import deque


class Peak:
    """One counter. Time must not go back."""

    __slots__ = ("_held", "_now", "at", "most")

    def __init__(self) -> None:
        self._held: deque[tuple[int, int]] = deque()
        self._now, self.most, self.at = 0, 0, 0

    def add(self, at: int, units: int, window: int) -> None:
        """Count units at a moment (ms)."""
        held = self._held
        while held and held[0][0] <= at - window:
            self._now -= held.popleft()[1]
        if held and held[-1][0] == at:
            held[-1] = (at, held[-1][1] + units)
        else:
            held.append((at, units))
        self._now += units
        if self._now > self.most:
            self.most, self.at = self._now, at
