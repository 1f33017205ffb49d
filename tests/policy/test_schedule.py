"""Schedules, against an oracle that walks a wall clock minute by minute and knows nothing of time zones."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest

from policyd.conf.schema import Schedule
from policyd.policy.schedule import is_open

MINUTE = 60_000
ALL_DAY = ((0, 1440),)
NIGHTS = ((0, 150), (1380, 1440))


class Zone(NamedTuple):
    """A time zone: where its wall clock stands at ``start`` (UTC), and by how many minutes it jumps when."""

    name: str
    start: datetime
    offset: int
    jumps: dict[datetime, int]


ZONES = [
    Zone("Etc/UTC", datetime(2026, 1, 1, tzinfo=UTC), 0, {}),
    Zone("America/New_York", datetime(2026, 3, 6, tzinfo=UTC), -300, {datetime(2026, 3, 8, 7, tzinfo=UTC): 60}),
    Zone("America/New_York", datetime(2026, 10, 30, tzinfo=UTC), -240, {datetime(2026, 11, 1, 6, tzinfo=UTC): -60}),
    Zone("Australia/Lord_Howe", datetime(2026, 4, 3, tzinfo=UTC), 660, {datetime(2026, 4, 4, 15, tzinfo=UTC): -30}),
    Zone(
        "Australia/Lord_Howe", datetime(2026, 10, 2, tzinfo=UTC), 630, {datetime(2026, 10, 3, 15, 30, tzinfo=UTC): 30}
    ),
    Zone("Asia/Kathmandu", datetime(2026, 2, 27, tzinfo=UTC), 345, {}),
]

OPENINGS = {
    "nights": (NIGHTS,) * 7,
    "weekend and weekday mornings": (((60, 480),),) * 5 + (ALL_DAY,) * 2,
    "inside the hour that is skipped or comes twice": (((95, 145),),) * 7,
    "never": ((),) * 7,
}


def schedule(
    zone: str, *week: tuple[tuple[int, int], ...], **fields: dict[date, tuple[tuple[int, int], ...]]
) -> Schedule:
    """Return a schedule of one opening for all days, or of seven."""
    return Schedule("off-peak", ZoneInfo(zone), week if len(week) == 7 else week * 7, **fields)


def milliseconds(moment: datetime) -> int:
    """Return a moment in ms since the epoch."""
    return round(moment.timestamp()) * 1000


def wall_clock(zone: Zone, days: int) -> Iterator[tuple[datetime, datetime]]:
    """Yield each minute as UTC, and as a wall clock that is only ever moved by hand shows it."""
    wall = zone.start.replace(tzinfo=None) + timedelta(minutes=zone.offset)
    for number in range(days * 1440):
        moment = zone.start + timedelta(minutes=number)
        wall += timedelta(minutes=zone.jumps.get(moment, 0))
        yield moment, wall
        wall += timedelta(minutes=1)


@pytest.mark.parametrize("week", OPENINGS.values(), ids=OPENINGS)
@pytest.mark.parametrize("zone", ZONES, ids=[f"{zone.name} {zone.start:%b}" for zone in ZONES])
def test_it_is_open_when_the_wall_clock_says_so(zone: Zone, week: tuple[tuple[tuple[int, int], ...], ...]) -> None:
    """In each minute of a week, over daylight saving, it is open exactly when the wall clock is in an opening."""
    off_peak = schedule(zone.name, *week)
    wrong = [
        (moment, wall)
        for moment, wall in wall_clock(zone, 7)
        if is_open(off_peak, milliseconds(moment))
        != any(start <= wall.hour * 60 + wall.minute < end for start, end in week[wall.weekday()])
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("at", "expected"),
    [(0, False), (60 * MINUTE - 1, False), (60 * MINUTE, True), (480 * MINUTE - 1, True), (480 * MINUTE, False)],
)
def test_an_opening_has_its_start_and_not_its_end(at: int, expected: bool) -> None:
    """Openings are half-open, to the millisecond."""
    midnight = milliseconds(datetime(2026, 5, 4, tzinfo=UTC))
    assert is_open(schedule("Etc/UTC", ((60, 480),)), midnight + at) is expected


def test_the_day_of_the_week_is_that_of_the_zone() -> None:
    """A Saturday begins when it begins there, not in UTC."""
    saturday = schedule("America/New_York", (), (), (), (), (), ALL_DAY, ())
    begin = milliseconds(datetime(2026, 5, 2, 4, tzinfo=UTC))
    assert [is_open(saturday, begin + at) for at in (-1, 0, 1440 * MINUTE - 1, 1440 * MINUTE)] == [
        False,
        True,
        True,
        False,
    ]


def test_an_exception_by_date_replaces_that_day() -> None:
    """A date that is named has its own hours, whatever its weekday has."""
    dates = {date(2026, 12, 25): ALL_DAY, date(2026, 12, 26): ()}
    shop = schedule("Europe/Berlin", ((540, 1020),), dates=dates)
    noons = [milliseconds(datetime(2026, 12, day, 11, tzinfo=UTC)) for day in (24, 25, 26, 27)]
    evenings = [noon + 8 * 60 * MINUTE for noon in noons]
    assert [is_open(shop, noon) for noon in noons] == [True, True, False, True]
    assert [is_open(shop, evening) for evening in evenings] == [False, True, False, False]
