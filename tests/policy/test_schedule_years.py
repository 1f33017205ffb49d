"""Schedules over years, against a calendar that is painted by hand and a wall clock that is moved by hand.

The oracle knows no time zones: it paints the open minutes of a wall clock on a calendar, and walks
the clock minute by minute, putting it forward or back where the test says so.
"""

from bisect import bisect_right
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest

from policyd.conf.schema import Schedule
from policyd.policy.schedule import Opening, is_open, next_change, openings

MINUTE, DAY = 60_000, 1440
FIRST, DAYS = date(2026, 1, 1), 730
START = datetime(2026, 1, 1, tzinfo=UTC)
Hours = tuple[tuple[int, int], ...]

ALL_DAY: Hours = ((0, DAY),)
OVER_MIDNIGHT: Hours = ((480, 720), (1320, DAY + 150))


class Zone(NamedTuple):
    """A time zone: its wall clock at the start (minutes from UTC), and by how many minutes it jumps when (UTC)."""

    name: str
    offset: int
    jumps: dict[datetime, int]


def at(year: int, month: int, day: int, hour: int, minute: int = 0) -> datetime:
    """Return a moment in UTC."""
    return datetime(year, month, day, hour, minute, tzinfo=UTC)


ZONES = [
    Zone(
        "America/New_York",
        -300,
        {at(2026, 3, 8, 7): 60, at(2026, 11, 1, 6): -60, at(2027, 3, 14, 7): 60, at(2027, 11, 7, 6): -60},
    ),
    Zone(
        "Australia/Lord_Howe",
        660,
        {at(2026, 4, 4, 15): -30, at(2026, 10, 3, 15, 30): 30, at(2027, 4, 3, 15): -30, at(2027, 10, 2, 15, 30): 30},
    ),
    # Its clocks are changed at midnight: one day has no midnight, the end of another comes twice.
    Zone(
        "America/Santiago",
        -180,
        {at(2026, 4, 5, 3): -60, at(2026, 9, 6, 4): 60, at(2027, 4, 4, 3): -60, at(2027, 9, 5, 4): 60},
    ),
    Zone("Asia/Kolkata", 330, {}),
]

WEEKS: dict[str, tuple[Hours, ...]] = {
    "as published": (((60, 480),),) * 5 + (ALL_DAY,) * 2,
    "over midnight": (OVER_MIDNIGHT,) * 5 + ((), ((1380, DAY + 60),)),
    "inside the hour that is skipped or comes twice": (((95, 145),),) * 7,
    "one short night a week, when clocks are changed": ((),) * 5 + (((1405, 1435),), ((125, 155),)),
}
DATES: dict[date, Hours] = {
    date(2026, 3, 8): ALL_DAY,
    date(2026, 12, 24): ((1080, DAY + 300),),
    date(2026, 12, 25): (),
    date(2026, 12, 31): ((1320, DAY + 360),),
    date(2027, 4, 4): (),
    date(2027, 7, 2): OVER_MIDNIGHT,
}


def painted(week: tuple[Hours, ...]) -> bytearray:
    """Return the wall clock's minutes from the day before FIRST on, 1 where it is open."""
    minutes = bytearray((DAYS + 4) * DAY)
    for number in range(DAYS + 2):
        day = FIRST + timedelta(days=number - 1)
        midnight = number * DAY
        if day in DATES:
            minutes[midnight : midnight + DAY] = bytes(DAY)
        for start, end in DATES.get(day, week[day.weekday()]):
            # What goes over midnight is painted into the next day; a date there wipes it out again.
            minutes[midnight + start : midnight + end] = b"\1" * (end - start)
    return minutes


class Walk(NamedTuple):
    """A schedule, and for each minute of UTC from FIRST on whether the oracle says that it is open."""

    schedule: Schedule
    open: bytes
    flips: list[int]
    """The minutes at which it opens or closes."""


def minute_of(moment: datetime) -> int:
    """Return the number of a moment's minute in the walk."""
    return round((moment - START).total_seconds()) // 60


def milliseconds(minute: int) -> int:
    """Return a minute of the walk in ms since the epoch."""
    return round(START.timestamp()) * 1000 + minute * MINUTE


CASES = [(zone, name) for zone in ZONES for name in WEEKS]


@pytest.fixture(scope="module", params=CASES, ids=[f"{zone.name}: {name}" for zone, name in CASES])
def walk(request: pytest.FixtureRequest) -> Walk:
    """Walk the wall clock of a zone through all days, over the calendar of one schedule."""
    zone, name = request.param
    calendar, wall = painted(WEEKS[name]), DAY + zone.offset
    jumps = {minute_of(moment): by for moment, by in zone.jumps.items()}
    seen = bytearray()
    for minute in range(DAYS * DAY):
        wall += jumps.get(minute, 0)
        seen.append(calendar[wall])
        wall += 1
    flips = [minute for minute, (before, after) in enumerate(pairwise(seen), 1) if before != after]
    return Walk(Schedule(name, ZoneInfo(zone.name), WEEKS[name], DATES), bytes(seen), flips)


def test_it_is_open_in_the_minutes_in_which_the_wall_clock_is(walk: Walk) -> None:
    """Each minute of the days about a clock change or a date, and every 31st of all others."""
    special = {*DATES, *(moment.date() for zone in ZONES for moment in zone.jumps)}
    days = {(day - FIRST).days + more for day in special for more in (-1, 0, 1)}
    minutes = {*range(0, DAYS * DAY, 31), *(minute for day in days for minute in range(day * DAY, (day + 1) * DAY))}

    assert [m for m in minutes if is_open(walk.schedule, milliseconds(m)) != walk.open[m]] == []


def test_each_change_leads_to_the_next(walk: Walk) -> None:
    """From the first minute on, change by change, nothing is left out and nothing is made up."""
    found, now = [], milliseconds(0)
    while (change := next_change(walk.schedule, now)) is not None and change < milliseconds(DAYS * DAY):
        found.append(change)
        now = change

    assert found == [milliseconds(flip) for flip in walk.flips]


def test_the_next_change_is_the_same_from_anywhere_before_it(walk: Walk) -> None:
    """Also from the middle of a minute."""
    starts = [start for start in range(0, DAYS * DAY, 997) if start < walk.flips[-1]]
    expected = [milliseconds(walk.flips[bisect_right(walk.flips, start)]) for start in starts]

    assert [next_change(walk.schedule, milliseconds(start) + 12_345) for start in starts] == expected


def test_the_openings_are_the_stretches_in_which_it_is_open(walk: Walk) -> None:
    """The first may have begun; then they follow each other."""
    edges = [0, *walk.flips] if walk.open[0] else walk.flips
    expected = [Opening(milliseconds(start), milliseconds(end)) for start, end in zip(edges[::2], edges[1::2])]  # noqa: B905

    assert openings(walk.schedule, milliseconds(0), len(expected)) == expected
