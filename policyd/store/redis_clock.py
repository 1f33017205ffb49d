"""What time it is at a Redis, as far as its replies tell."""

from typing import ClassVar


class RedisClock:
    """What time it is at Redis, estimated low: a deadline made from it never lies too late.

    Every reply carries the time at which Redis ran the call; the answer's way home only makes the
    estimate smaller. The best of the last two stretches of time counts, and nothing older: a clock
    that was stepped back, or runs at another speed, is believed soon.
    """

    STRETCH: ClassVar = 60.0
    ASK: ClassVar = 1
    """A deadline long ago: the call is refused as late, and the refusal says what time it is."""

    def __init__(self) -> None:
        self._offset = self._previous = float("-inf")
        self._since = float("-inf")

    def heard(self, redis_now: int, local: float) -> None:
        """Note that Redis said ``redis_now`` (ms) in a reply read at ``local`` (s, monotonic)."""
        offset, age = redis_now - local * 1000, local - self._since
        if age < self.STRETCH:
            self._offset = max(self._offset, offset)
            return
        self._previous = self._offset if age < 2 * self.STRETCH else float("-inf")
        self._offset, self._since = offset, local

    def deadline(self, local: float) -> int:
        """Return the time at Redis when it is ``local`` here, in ms; ASK when that is not known."""
        if local - self._since > 2 * self.STRETCH:
            return self.ASK
        return int(max(self._offset, self._previous) + local * 1000)

    def forget(self) -> None:
        """Start anew: another Redis may answer now."""
        self._offset = self._previous = self._since = float("-inf")
