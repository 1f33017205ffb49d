"""Schedules: hours of the week as text, in their own zone."""

from datetime import date
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policyd.conf.rendering import hours_text, openings
from policyd.conf.schedules import ALL_DAY, merged, opening
from policyd.conf.schema import Schedule
from policyd.conf.values import Unfit
from tests.support.configs import loaded

WHOLE = ((0, ALL_DAY),)


def schedule(directory: Path, text: str) -> Schedule:
    """Load a configuration with one schedule."""
    return loaded(directory, schedules=f"{{s: {{timezone: America/New_York, {text}}}}}").schedules["s"]


def test_the_published_hours_are_read(tmp_path: Path) -> None:
    """Saturday and Sunday all day, Monday to Friday 01:00-08:00 US Eastern."""
    read = schedule(tmp_path, 'open: ["Sat-Sun", "Mon-Fri 01:00-08:00"], dates: {2026-12-25: open}')

    assert read.timezone == ZoneInfo("America/New_York")
    assert read.week == (*[((60, 480),)] * 5, WHOLE, WHOLE)
    assert read.dates == {date(2026, 12, 25): WHOLE}


@pytest.mark.parametrize(
    ("text", "days", "hours"),
    [
        ("Mon", {0}, WHOLE),
        ("mon,WED", {0, 2}, WHOLE),
        ("Fri-Mon", {4, 5, 6, 0}, WHOLE),
        ("Mon-Tue,Sun 22:00-24:00", {0, 1, 6}, ((1320, 1440),)),
        ("08:00-12:00,13:00-17:00", set(range(7)), ((480, 720), (780, 1020))),
        ("Sat 00:00-24:00", {5}, WHOLE),
        ("Sat 10:00-11:00,08:00-10:30", {5}, ((480, 660),)),
    ],
)
def test_an_opening_is_days_and_hours(text: str, days: set[int], hours: tuple[tuple[int, int], ...]) -> None:
    """Either may be left out."""
    assert opening(text) == (frozenset(days), hours)


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("Fri 22:00-06:00", ((1320, 1800),)),
        ("Fri 22:00-00:00", ((1320, 1440),)),
        ("Fri 08:00-12:00,20:00-23:00,22:00-06:00", ((480, 720), (1200, 1800))),
        ("Fri 00:00-24:00,22:00-06:00", ((0, 1440), (1320, 1800))),
    ],
)
def test_hours_may_go_over_midnight(text: str, hours: tuple[tuple[int, int], ...]) -> None:
    """They end on the next day, past 1440."""
    assert opening(text) == (frozenset({4}), hours)


def test_openings_of_one_day_are_joined(tmp_path: Path) -> None:
    """What touches or overlaps is one interval."""
    read = schedule(tmp_path, 'open: ["Mon 08:00-10:00", "Mon-Tue 10:00-12:00", "Mon 11:00-11:30"]')

    assert read.week[:3] == (((480, 720),), ((600, 720),), ())


def test_a_date_has_hours_of_its_own(tmp_path: Path) -> None:
    """open, closed, hours, or a list of hours."""
    dates = "{2026-01-01: closed, 2026-01-02: 08:00-09:00, 2026-01-03: [10:00-11:00, 08:00-09:00], 2026-01-04: open}"
    read = schedule(tmp_path, f"open: [], dates: {dates}")

    assert list(read.dates.values()) == [(), ((480, 540),), ((480, 540), (600, 660)), WHOLE]


def test_a_schedule_is_shown_as_it_could_be_written(tmp_path: Path) -> None:
    """Neighbouring days with the same hours are one line."""
    text = (
        'open: ["Sat-Sun", "Mon-Tue,Thu 01:00-08:00", "Fri 20:00-24:00,22:00-06:00"],'
        " dates: {2026-12-26: closed, 2026-12-25: 10:00-12:00}"
    )

    assert openings(schedule(tmp_path, text)) == [
        "Mon-Tue 01:00-08:00",
        "Thu 01:00-08:00",
        "Fri 20:00-06:00",
        "Sat-Sun",
        "2026-12-25 10:00-12:00",
        "2026-12-26 closed",
    ]


SPANS = st.lists(st.tuples(st.integers(0, 1439), st.integers(1, 1439)).map(lambda span: (span[0], sum(span))))


@given(SPANS)
def test_joining_changes_no_minute(spans: list[tuple[int, int]]) -> None:
    """The intervals cover the same minutes in order; those that could be written as one are apart."""
    joined = merged(spans)

    assert {minute for span in joined for minute in range(*span)} == {m for span in spans for m in range(*span)}
    assert all(before[1] < after[0] or after[1] - before[0] >= ALL_DAY for before, after in pairwise(joined))


@given(SPANS)
def test_what_is_shown_means_the_same_when_it_is_read(spans: list[tuple[int, int]]) -> None:
    """Hours as they are shown can be written."""
    joined = merged(spans)
    text = hours_text(joined)

    assert text in {"open", "closed"} or opening(f"Mon {text}") == (frozenset({0}), joined)


@given(st.text(alphabet="MonTueFri 0123456789:-,", max_size=20))
def test_any_text_is_an_opening_or_says_why_not(text: str) -> None:
    """Hours begin within a day and are no longer than one, whatever was written."""
    read = opening(text)

    assert isinstance(read, Unfit) or all(0 <= start < ALL_DAY for start, _ in read[1])
    assert isinstance(read, Unfit) or all(start < end <= start + ALL_DAY for start, end in read[1])
