"""Schedules: the rules, one by one. What they come to over years is in test_schedule_years."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from policyd.conf.schema import Schedule
from policyd.policy.schedule import Opening, is_open, next_change, openings

MINUTE = 60_000
ALL_DAY = ((0, 1440),)
NIGHTS = ((1320, 1440 + 360),)


def schedule(
    zone: str, *week: tuple[tuple[int, int], ...], **fields: Mapping[date, tuple[tuple[int, int], ...]]
) -> Schedule:
    """Return a schedule of one opening for all days, or of seven."""
    return Schedule("off-peak", ZoneInfo(zone), week if len(week) == 7 else week * 7, **fields)


def milliseconds(moment: datetime) -> int:
    """Return a moment in ms since the epoch."""
    return round(moment.timestamp()) * 1000


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


def open_hours(shop: Schedule, day: date) -> list[int]:
    """Return the hours of a day in UTC in whose middle it is open."""
    midnight = milliseconds(datetime(day.year, day.month, day.day, tzinfo=UTC))
    return [hour for hour in range(24) if is_open(shop, midnight + hour * 60 * MINUTE + 30 * MINUTE)]


def test_hours_over_midnight_belong_to_the_day_on_which_they_begin() -> None:
    """Friday 22:00-06:00 ends on Saturday morning, and Friday morning is closed."""
    fridays = schedule("Etc/UTC", (), (), (), (), NIGHTS, (), ())

    assert open_hours(fridays, date(2026, 5, 1)) == [22, 23]
    assert open_hours(fridays, date(2026, 5, 2)) == [0, 1, 2, 3, 4, 5]


def test_a_closed_date_is_closed_from_midnight_to_midnight() -> None:
    """What began the evening before ends there, and what would begin in the evening does not go on after it."""
    nights = schedule("Etc/UTC", NIGHTS, dates={date(2026, 12, 25): ()})

    assert open_hours(nights, date(2026, 12, 24)) == [0, 1, 2, 3, 4, 5, 22, 23]
    assert open_hours(nights, date(2026, 12, 25)) == []
    assert open_hours(nights, date(2026, 12, 26)) == [22, 23]


def test_the_hours_of_a_date_go_over_midnight_too() -> None:
    """They go on into a day without a date of its own."""
    days = schedule("Etc/UTC", ((600, 720),), dates={date(2026, 12, 31): NIGHTS})

    assert open_hours(days, date(2026, 12, 31)) == [22, 23]
    assert open_hours(days, date(2027, 1, 1)) == [0, 1, 2, 3, 4, 5, 10, 11]


@pytest.mark.parametrize("week", [(), ALL_DAY], ids=["never open", "always open"])
def test_what_never_changes_has_no_next_change(week: tuple[tuple[int, int], ...]) -> None:
    """Also when daylight saving does."""
    assert next_change(schedule("America/New_York", week), milliseconds(datetime(2026, 3, 1, tzinfo=UTC))) is None


def test_an_opening_that_never_closes_has_no_end() -> None:
    """It starts now."""
    now = milliseconds(datetime(2026, 3, 1, tzinfo=UTC))

    assert openings(schedule("America/New_York", ALL_DAY), now, 3) == [Opening(now, None)]


def test_there_are_no_more_openings_than_there_are() -> None:
    """A schedule with nothing but dates has one for each."""
    now = milliseconds(datetime(2026, 3, 1, tzinfo=UTC))
    dates = {date(2026, 1, 1): ALL_DAY, date(2026, 5, 1): ALL_DAY, date(2031, 5, 1): ((0, 60),), date.max: ALL_DAY}
    found = openings(schedule("Etc/UTC", (), dates=dates), now, 9)

    assert [datetime.fromtimestamp(opening.start / 1000, UTC).date() for opening in found] == [
        date(2026, 5, 1),
        date(2031, 5, 1),
    ]


def test_after_weeks_of_closed_dates_the_week_goes_on() -> None:
    """The next opening may be further away than three weeks, and is not on a date."""
    sundays = schedule(
        "America/New_York",
        *((),) * 6,
        ALL_DAY,
        dates={date(2026, month, day): () for month in (6, 7) for day in range(1, 31)},
    )
    change = next_change(sundays, milliseconds(datetime(2026, 6, 1, 12, tzinfo=UTC)))

    assert change == milliseconds(datetime(2026, 8, 2, 4, tzinfo=UTC))
