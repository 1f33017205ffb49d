"""Whether a schedule is open at a moment, and when that changes.

Decided by membership of half-open intervals, never by a subtraction of local times, so that
daylight saving cannot bend it: an hour that is skipped opens nothing, one that comes twice opens
twice. A date has exactly the hours that are written for it; hours that go over midnight belong to
the day on which they begin.
"""

from collections.abc import Iterator
from datetime import MAXYEAR, UTC, date, datetime, time, timedelta
from typing import NamedTuple

from policyd.conf.schema import Schedule

_DAY = 24 * 60
_MINUTE = 60_000
_AHEAD = 22 * _DAY * _MINUTE
"""What happens within three weeks happens every week, but for dates: daylight saving skips an hour once, not twice."""


class Opening(NamedTuple):
    """One stretch of being open, in ms since the epoch. ``end`` is None when it never closes."""

    start: int
    end: int | None


def is_open(schedule: Schedule, now: int) -> bool:
    """Return whether the schedule is open at ``now``, in ms since the epoch."""
    local = _local(schedule, now)
    today, minute = local.date(), local.hour * 60 + local.minute
    hours = schedule.dates.get(today)
    if hours is None:
        if minute < _tail(schedule, today):
            return True
        hours = schedule.week[today.weekday()]
    return any(start <= minute < end for start, end in hours)


def next_change(schedule: Schedule, now: int) -> int | None:
    """Return the next moment after ``now`` at which the schedule opens or closes, None when there is none."""
    before = is_open(schedule, now)
    for start, end in _stretches(schedule, now):
        moment = start
        while moment < end:
            moment = _next_edge(schedule, moment)
            if is_open(schedule, moment) is not before:
                return moment
    return None


def openings(schedule: Schedule, now: int, count: int) -> list[Opening]:
    """Return the next ``count`` openings, fewer when there are no more; one that has begun starts at ``now``."""
    found: list[Opening] = []
    start = now if is_open(schedule, now) else next_change(schedule, now)
    while start is not None and len(found) < count:
        end = next_change(schedule, start)
        found.append(Opening(start, end))
        start = None if end is None else next_change(schedule, end)
    return found


def _stretches(schedule: Schedule, now: int) -> Iterator[tuple[int, int]]:
    """Yield the stretches of time in which the schedule may change, in order: from now on, then from each date on."""
    yield now, now + _AHEAD
    for day in sorted(schedule.dates):
        if day.year < MAXYEAR:
            eve = int(datetime.combine(day, time(), UTC).timestamp()) * 1000 - _DAY * _MINUTE
            if eve > now:
                yield eve, eve + _AHEAD


def _next_edge(schedule: Schedule, now: int) -> int:
    """Return the next moment at which something may change: an edge of the day's hours, midnight, or a clock change."""
    local = _local(schedule, now)
    minute = local.hour * 60 + local.minute
    hours = _begun(schedule, local.date())
    edges = (_tail(schedule, local.date()), *(edge for span in hours for edge in span), _DAY)
    edge = min(edge for edge in edges if edge > minute)
    then = now - now % _MINUTE + (edge - minute) * _MINUTE
    return then if _offset(schedule, then) == _offset(schedule, now) else _clock_change(schedule, now, then)


def _clock_change(schedule: Schedule, before: int, after: int) -> int:
    """Return the moment between two, less than a day apart, from which the zone has another offset than ``before``."""
    offset = _offset(schedule, before)
    low, high = before // _MINUTE, after // _MINUTE
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(schedule, middle * _MINUTE) == offset:
            low = middle
        else:
            high = middle
    return high * _MINUTE


def _tail(schedule: Schedule, day: date) -> int:
    """Return the minute of a day up to which hours that began the day before go on, 0 for none."""
    return max((end - _DAY for _, end in _begun(schedule, day - timedelta(days=1))), default=0)


def _begun(schedule: Schedule, day: date) -> tuple[tuple[int, int], ...]:
    """Return the hours that begin on a day."""
    hours = schedule.dates.get(day)
    return schedule.week[day.weekday()] if hours is None else hours


def _offset(schedule: Schedule, at: int) -> timedelta | None:
    return _local(schedule, at).utcoffset()


def _local(schedule: Schedule, at: int) -> datetime:
    return datetime.fromtimestamp(at / 1000, UTC).astimezone(schedule.timezone)
