"""Whether calls go to the store at all, so that not each request waits for a store that is silent.

    closed   calls go to the store
    open     calls fail at once; trials, ever more seldom, find out whether the store answers again

Pure: it is told what happened and when (s). It opens when a call got no answer in time, and closes
when a trial got one. Nobody who asks for mail is ever a trial.
"""

FIRST, LONGEST = 0.1, 1.0
"""How long until the first trial, and how long between trials at most, in seconds."""


class Breaker:
    """``open`` says whether calls fail at once; ``rest`` is how long until the next trial, in seconds."""

    def __init__(self) -> None:
        self.open, self.rest = False, FIRST
        self._closed_at = float("-inf")

    def timed_out(self, now: float) -> bool:
        """Note a call without an answer in time; returns whether that opened it, so that a trial is due.

        What opens again soon rests for longer: the store answers some calls in time and others not.
        """
        if self.open:
            return False
        self.open = True
        self.rest = min(2 * self.rest, LONGEST) if now - self._closed_at < LONGEST else FIRST
        return True

    def tried(self, now: float, *, answered: bool) -> None:
        """Note how a trial ended."""
        if answered:
            self.open, self._closed_at = False, now
        else:
            self.rest = min(2 * self.rest, LONGEST)
