"""Which counters are fullest, told in bounded memory."""

from collections.abc import Callable
from heapq import nlargest

ROOM = 1024
"""How many counters are remembered to find the fullest among them."""


class Fullest:
    """The fullest counters, in bounded memory and at a cost that does not grow with the accounts.

    What is fuller than the rest stays; while the room is used up, a counter that is less full than
    all that were kept, or just as full, is turned away.
    """

    _FLOOR_HOLDS = 60.0  # seconds; what was turned away for good reasons then may be among the fullest now

    def __init__(self, clock: Callable[[], float], room: int = ROOM) -> None:
        self._clock, self._room = clock, room
        self._notes: dict[tuple[str, str, str], tuple[float, float]] = {}  # ratio, and until when it counts
        self._floor, self._floor_until = 0.0, 0.0

    def __len__(self) -> int:
        return len(self._notes)

    def note(self, counter: tuple[str, str, str], ratio: float, seconds: float) -> None:
        """Note how full a counter (account, limit, subject) is, for as many seconds."""
        now = self._clock()
        if ratio <= self._floor and now < self._floor_until and counter not in self._notes:
            return
        self._notes[counter] = (ratio, now + seconds)
        if len(self._notes) > self._room:
            self._make_room(now)

    def top(self, count: int) -> list[tuple[float, str, str]]:
        """Return (ratio, account, limit) of the fullest, fullest first; of each limit its fullest subject."""
        self._forget_faded(self._clock())
        best: dict[tuple[str, str], float] = {}
        for (account, limit, _), (ratio, _) in self._notes.items():
            best[account, limit] = max(ratio, best.get((account, limit), 0.0))
        return nlargest(count, ((ratio, account, limit) for (account, limit), ratio in best.items()))

    def _make_room(self, now: float) -> None:
        self._forget_faded(now)
        half = self._room // 2
        if len(self._notes) > half:
            kept = nlargest(half, self._notes.items(), key=lambda item: item[1])
            self._notes = dict(kept)
            self._floor, self._floor_until = kept[-1][1][0], now + self._FLOOR_HOLDS

    def _forget_faded(self, now: float) -> None:
        self._notes = {counter: note for counter, note in self._notes.items() if note[1] > now}
