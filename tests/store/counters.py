"""The counter types as slowly and plainly as can be: every entry is kept and added up each time.

A counter has the same functions as its Lua file. ``peek`` returns the units in the window; ``apply``
adds some and returns the receipt's grain and place; ``undo`` takes some out of a place. Of a pace
``peek`` returns how long the next slot is away.
"""

from math import ceil
from typing import NamedTuple

from policyd.model import Member

PAST = 60
LONGEST_LOG, MOST = 140, 255


class Ring:
    """Counts by slots of a sixtieth of the window: those of the newest slot and the 60 before it."""

    def __init__(self) -> None:
        self.entries: list[list[int]] = []  # [slot, units]
        self.width = self.newest = 0

    def peek(self, now: int, window: int) -> int:
        """Return the units that count at ``now``; with another width, all that counted last."""
        width = ceil(window / PAST)
        if width != self.width:
            live = now < (self.newest + PAST + 1) * self.width
            return self._since(self.newest) if live else 0
        return self._since(max(self.newest, now // width))

    def apply(self, now: int, window: int, units: int) -> tuple[int, int]:
        """Add units to the newest slot; those of another width are moved there first."""
        width = ceil(window / PAST)
        if width != self.width:
            moved, start = self.peek(now, window), self.newest * self.width // width
            self.width, self.newest = width, max(now // width, start)
            self.entries = [[self.newest, moved]]
        self.newest = max(self.newest, now // width)
        self.entries.append([self.newest, units])
        return width, self.newest

    def undo(self, grain: int, place: int, units: int) -> None:
        """Take units out of a slot, if it is still one of the window's and as wide."""
        if grain == self.width and place >= self.newest - PAST:
            _take(self.entries, place, units)

    def fits_at(self, now: int, window: int, need: int) -> int:
        """Return the first moment at which ``need`` units fewer count."""
        width = ceil(window / PAST)
        newest = max(now // width, self.newest * self.width // width)
        if width == self.width:
            for slot in range(newest - PAST, newest):
                if self._since(newest) - self._since(slot + PAST + 1) >= need:
                    return (slot + PAST + 1) * width
        return (newest + PAST + 1) * width

    def _since(self, newest: int) -> int:
        return sum(units for slot, units in self.entries if slot >= newest - PAST)


class Log:
    """Counts by exact times. Where it is past its largest max, a sixtieth of the window is one time."""

    def __init__(self) -> None:
        self.entries: list[list[int]] = []  # [time, units], no more than 255 of them
        self.newest = 0

    def peek(self, now: int, window: int) -> int:
        """Return the units that count at ``now``."""
        return sum(units for time, units in self.entries if time > max(now, self.newest) - window)

    def apply(self, now: int, window: int, units: int) -> tuple[int, int]:
        """Add units at ``now``, or at the newest time when the clock was stepped back."""
        self.newest = max(now, self.newest)
        entries = [entry for entry in self.entries if entry[0] > self.newest - window]
        entries += _split(self.newest, units)
        if len(entries) > LONGEST_LOG:
            joined: dict[int, tuple[int, int]] = {}
            for time, some in entries:
                grain = time * PAST // window
                joined[grain] = time, joined.get(grain, (0, 0))[1] + some
            entries = [entry for time, some in joined.values() for entry in _split(time, some)]
        self.entries = entries
        return 0, self.newest

    def undo(self, _grain: int, place: int, units: int) -> None:
        """Take units out of what was counted at exactly that time."""
        _take(self.entries, place, units)
        self.entries = [entry for entry in self.entries if entry[1]]

    def fits_at(self, now: int, window: int, need: int) -> int:
        """Return the first moment at which ``need`` units fewer count."""
        now = max(now, self.newest)
        for time, _ in self.entries:
            if time > now - window and self.peek(now, window) - self.peek(time + window, window) >= need:
                return time + window
        return now + window


class Pace:
    """Takes slots one after the other: [where it begins, where the next may begin], the earliest first."""

    def __init__(self) -> None:
        self.slots: list[list[int]] = []
        self.newest = 0

    def peek(self, now: int, _window: int) -> int:
        """Return how long the next slot is away; a clock that was stepped back takes the slots with it."""
        return max(0, self.slots[-1][1] - max(now, self.newest)) if self.slots else 0

    def apply(self, now: int, window: int, units: int) -> tuple[int, int]:
        """Take slots from the next one on."""
        slot = now + self.peek(now, window)
        self.newest = now
        self.slots.append([slot, slot + units * window])
        return window, slot

    def undo(self, grain: int, place: int, units: int) -> None:
        """Free slots, if they are the last that were taken."""
        if self.slots and self.slots[-1][1] == place + units * grain:
            self.slots.append([place, place])

    def fits_at(self, now: int, _window: int, need: int) -> int:
        """Return the moment from which the next slot is ``need`` ms nearer."""
        return now + need


class Recent(NamedTuple):
    """A latest recipient of a list. ``alone``: nobody else came over his connection."""

    digest: str
    at: int
    connection: int
    alone: bool


class MailedList:
    """What a list has mailed to: everything is kept and looked through each time.

    A mailing makes members of its recipients, and of the latest ``over`` before them. Who comes alone over
    his connection has no part in it.
    """

    SOON, HOUR, DAY, GENERATION, PAST = 900_000, 3_600_000, 86_400_000, 21_600_000, 4

    def __init__(self) -> None:
        self.members: dict[str, int] = {}  # digest: generation
        self.recent: list[Recent] = []  # distinct digests, the one that was asked for last is at the end
        self.largest: tuple[int, int] = (0, 0)  # size, when
        self.judged: tuple[int, bool, int, int] | None = None  # size, exact, began, last
        self.counted = False

    def at(self, now: int) -> int:
        """Return the moment that all is judged by but whether a mailing goes on: it never steps back."""
        return max(now, self.recent[-1].at) if self.recent else now

    def size(self, now: int, window: int) -> int:
        """Return how many members it has, or had within the window."""
        now = self.at(now)
        live = sum(number >= now // self.GENERATION - self.PAST for number in self.members.values())
        return max(live, self.largest[0] if now - self.largest[1] < window else 0)

    def judge(self, member: Member, now: int, window: int) -> tuple[int, bool] | None:
        """Return the size that the recipient is judged by, and whether it is exact; None below a mailing."""
        others = self._others(member, now)
        if not self._is_mailing(member, now):
            return None
        if self.judged and self._goes_on(now):
            if member.known is not None and member.known < self.judged[0]:
                return member.known, True
            return self.judged[:2]
        if member.known is not None:
            return member.known, True
        return max(self.size(now, window), len(others) + 1), False

    def note(self, member: Member, now: int, window: int) -> None:
        """Note that a recipient was asked for and refused."""
        self._note(member, now, self.judge(member, now, window), counted=False)

    def apply(self, member: Member, now: int, window: int, ceilings: list[int]) -> tuple[str, int] | None:
        """Count a recipient under several limits, and return its digest and generation when it is new."""
        judged, at = self.judge(member, now, window), self.at(now)
        new = None
        if judged is not None:
            uncounted = [] if self.counted else [one.digest for one in self._others(member, now)]
            for ceiling in ceilings:
                for digest in uncounted:
                    self._add(digest, at, ceiling)
                new = self._add(member.digest, at, ceiling) or new
                live = self.size(now, 0)
                if live >= self.largest[0] or at - self.largest[1] >= window:
                    self.largest = live, at
        self._note(member, now, judged, counted=judged is not None)
        return new

    def undo(self, digest: str, number: int) -> None:
        """Take a member out of the generation that it was counted in."""
        if self.members.get(digest) == number:
            del self.members[digest]

    def _is_mailing(self, member: Member, now: int) -> bool:
        return not self._is_alone(member, now) and len(self._others(member, now)) >= member.over

    def _is_alone(self, member: Member, now: int) -> bool:
        return member.connection > 0 and member.connection not in {one.connection for one in self._latest(member, now)}

    def _others(self, member: Member, now: int) -> list[Recent]:
        return [one for one in self._latest(member, now) if not one.alone or one.connection == member.connection]

    def _latest(self, member: Member, now: int) -> list[Recent]:
        return [one for one in self.recent if one.digest != member.digest and one.at > self.at(now) - self.SOON]

    def _goes_on(self, now: int) -> bool:
        if self.judged is None:
            return False
        return abs(now - self.judged[3]) <= self.HOUR and now - self.judged[2] <= self.DAY

    def _add(self, digest: str, now: int, ceiling: int) -> tuple[str, int] | None:
        number = now // self.GENERATION
        known = self.members.get(digest, -1) >= number - self.PAST
        if not known and self.size(now, 0) > ceiling:
            return None
        self.members[digest] = number
        return None if known else (digest, number)

    def _note(self, member: Member, now: int, judged: tuple[int, bool] | None, *, counted: bool) -> None:
        if judged is not None:
            began = self.judged[2] if self.judged and self._goes_on(now) else now
            self.judged = (*judged, began, now)
        alone, most = self._is_alone(member, now), max(member.over, 1)
        latest = [
            one._replace(alone=one.alone and (alone or one.connection != member.connection))
            for one in self._latest(member, now)
        ]
        latest.append(Recent(member.digest, self.at(now), member.connection, alone))
        kept = [one for one in latest if one.alone][-most:] + [one for one in latest if not one.alone][-most:]
        self.recent = [one for one in latest if one in kept]
        self.counted = counted


class Distinct:
    """Whom a sender has written to: [digest, generation], in the quarters of one window."""

    PAST = 4

    def __init__(self) -> None:
        self.members: dict[str, int] = {}
        self.grain = self.newest = 0
        self.left = self.left_until = 0  # members that were kept in quarters of another window, and until when

    def used(self, now: int, window: int) -> int:
        """Return how many count."""
        grain = ceil(window / self.PAST)
        if grain != self.grain:
            return self._left(now) + len(self._live(now, self.grain)) if self.grain else 0
        return self._left(now) + len(self._live(now, grain))

    def need(self, digest: str, now: int, window: int, max_: int) -> int:
        """Return by how many too many there would be with this one; 0 where he counts already."""
        known = ceil(window / self.PAST) == self.grain and digest in self._live(now, self.grain)
        return 0 if known else self.used(now, window) + 1 - max_

    def fits_at(self, now: int, window: int, need: int) -> int:
        """Return the first moment at which ``need`` fewer count, -1 for never."""
        grain = ceil(window / self.PAST)
        if grain != self.grain:
            leaving = [now + window] * self.used(now, window)
        else:
            leaving = [(number + self.PAST + 1) * grain for number in self._live(now, grain).values()]
            leaving += [self.left_until] * self._left(now)
        return sorted(leaving)[need - 1] if need <= len(leaving) else -1

    def apply(self, digest: str, now: int, window: int, max_: int) -> tuple[str, int] | None:
        """Count somebody, unless more than ``max_`` count; return him and his generation when he is new."""
        grain = ceil(window / self.PAST)
        if grain != self.grain:
            self.left, self.left_until = self.used(now, window), now + window
            self.grain, self.members, self.newest = grain, {}, 0
        live = self._live(now, grain)
        if digest not in live and self.used(now, window) > max_:
            return None
        self.newest = self.members[digest] = max(now // grain, self.newest)
        self.left = self._left(now)  # gone for good, though the clock should step back
        return None if digest in live else (digest, self.newest)

    def undo(self, digest: str, number: int) -> None:
        """Take somebody out of the generation that he was counted in."""
        if self.members.get(digest) == number:
            del self.members[digest]

    def _live(self, now: int, grain: int) -> dict[str, int]:
        present = max(now // grain, self.newest) if grain else 0
        return {digest: number for digest, number in self.members.items() if number >= present - self.PAST}

    def _left(self, now: int) -> int:
        return self.left if now < self.left_until else 0


Counter = Ring | Log | Pace


def _split(time: int, units: int) -> list[list[int]]:
    return [[time, min(MOST, units - done)] for done in range(0, units, MOST)]


def _take(entries: list[list[int]], place: int, units: int) -> None:
    for entry in entries:
        if entry[0] == place:
            taken = min(entry[1], units)
            entry[1] -= taken
            units -= taken
