"""Schedules: hours of the week as text -> half-open intervals in minutes of the day on which they begin.

opening  :== [days] [hours]          at least one of the two; no days: every day; no hours: all day
days     :== day ["-" day] ("," ...)  Mon Tue Wed Thu Fri Sat Sun; Fri-Mon goes round the week's end
hours    :== HH:MM "-" HH:MM ("," ...)  up to 24:00; 22:00-06:00 goes over midnight into the next day
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo, available_timezones

from policyd.conf.issues import At, did_you_mean, shown
from policyd.conf.nodes import Items, Node
from policyd.conf.schema import Schedule
from policyd.conf.structures import Key, ListOf, MapOf, Pair, Values, table
from policyd.conf.values import Json, Unfit, Value, name

Hours = tuple[tuple[int, int], ...]

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
ALL_DAY = 24 * 60
_HOURS = re.compile(r"([0-9]{2}):([0-5][0-9])-([0-9]{2}):([0-5][0-9])\Z", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z", re.ASCII)
_CURE = 'write "Sat-Sun", "01:00-08:00" or "Mon-Fri 01:00-08:00"'


def opening(written: str) -> tuple[frozenset[int], Hours] | Unfit:
    """Return the weekdays (Monday is 0) and hours of one opening."""
    words = written.split()
    with_days = bool(words) and not words[0][:1].isdigit()
    days = _days(words[0]) if with_days else frozenset(range(7))
    hours = words[1:] if with_days else words
    if isinstance(days, Unfit):
        return days
    if len(hours) > 1 or not words:
        return Unfit(f'"{shown(written)}" is no opening', _CURE)
    found = _hours(hours[0]) if hours else ((0, ALL_DAY),)
    return found if isinstance(found, Unfit) else (days, found)


def _days(written: str) -> frozenset[int] | Unfit:
    known = {day.lower(): index for index, day in enumerate(DAYS)}
    days: set[int] = set()
    for part in written.split(","):
        named, dash, named_last = part.partition("-")
        first, last = named.lower(), named_last.lower()
        if first not in known or (dash and last not in known):
            wrong = named if first not in known else named_last
            return Unfit(f'"{shown(wrong)}" is no weekday', f"write {', '.join(DAYS)}, or a span such as Mon-Fri")
        length = (known[last] - known[first]) % 7 if dash else 0
        days.update((known[first] + step) % 7 for step in range(length + 1))
    return frozenset(days)


def _hours(written: str) -> Hours | Unfit:
    spans: list[tuple[int, int]] = []
    for part in written.split(","):
        match = _HOURS.match(part)
        if match is None:
            return Unfit(f'"{shown(part)}" are no hours', "write a span such as 01:00-08:00; the day ends at 24:00")
        start, end = int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])
        if start >= ALL_DAY or end > ALL_DAY or start == end:
            return Unfit(f'"{part}" is no span of hours', "write a span such as 01:00-08:00; the day ends at 24:00")
        spans.append((start, end if start < end else end + ALL_DAY))
    return merged(spans)


def merged(spans: Iterable[tuple[int, int]]) -> Hours:
    """Return the spans in order, with those that touch or overlap as one, unless that could not be written."""
    done: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        first, last = done[-1] if done else (0, -1)
        if start <= last and (max(end, last) <= ALL_DAY or max(end, last) - first < ALL_DAY):
            done[-1] = (first, max(end, last))
        else:
            done.append((start, end))
    return tuple(done)


def _date(written: str) -> str | Unfit:
    try:
        return date.fromisoformat(written if _DATE.match(written) else "").isoformat()
    except ValueError:
        return Unfit(f'"{shown(written)}" is no date', "write year-month-day: 2026-12-25")


def _date_hours(written: str) -> Hours | Unfit:
    if written in {"open", "closed"}:
        return ((0, ALL_DAY),) if written == "open" else ()
    return _hours(written)


_HOURS_OF_DATE = Value(_date_hours, "hours", "open, closed or 01:00-08:00", {"type": "string"})


@dataclass(frozen=True, slots=True)
class _DateHours:
    """``open``, ``closed``, hours, or a list of hours."""

    example: str = "open, closed or 01:00-08:00"

    def read(self, node: Node, at: At) -> Hours | None:
        if not isinstance(node, Items):
            return _HOURS_OF_DATE.read(node, at)
        read = [_HOURS_OF_DATE.read(item, at.item(index)) for index, item in enumerate(node.items)]
        return merged(span for hours in read if hours for span in hours)

    def schema(self) -> Json:
        one = _HOURS_OF_DATE.schema()
        return {"anyOf": [one, {"type": "array", "items": one}]}


def _zone(written: str) -> ZoneInfo | Unfit:
    try:
        return ZoneInfo(written)
    except (ValueError, OSError, LookupError):
        return Unfit(f'"{shown(written)}" is no time zone', did_you_mean(written, _likely_zones(written)))


def _likely_zones(written: str) -> list[str]:
    """Return the zones that share the region, or the place, with what was written; some, else."""
    region, _, place = written.lower().rpartition("/")
    zones = sorted(available_timezones())
    near = [zone for zone in zones if zone.lower().startswith(f"{region}/") or zone.lower().rpartition("/")[2] == place]
    return near or ["UTC", "Europe/Berlin", "America/New_York", "Asia/Tokyo"]


TIMEZONE = Key(
    "timezone",
    Value(_zone, "a time zone", "America/New_York", {"type": "string"}),
    "The IANA time zone that the hours are meant in.",
    required=True,
)
OPEN = Key(
    "open",
    ListOf(
        Value(opening, "an opening", '"Mon-Fri 01:00-08:00"', {"type": "string"}), '["Sat-Sun", "Mon-Fri 01:00-08:00"]'
    ),
    "The hours of the week: days, hours, or days and hours; 22:00-06:00 ends on the next day.",
    required=True,
)
DATES = Key(
    "dates",
    MapOf(
        Value(_date, "a date", "2026-12-25", {"type": "string", "format": "date"}), _DateHours(), "{2026-12-25: open}"
    ),
    "Dates with exactly these hours, whatever their weekday has: open, closed, or hours.",
)
SCHEDULE = table(TIMEZONE, OPEN, DATES, example='{timezone: America/New_York, open: ["Sat-Sun"]}')
SCHEDULES = MapOf(
    name("the name of a schedule", "off-peak"), SCHEDULE, '{off-peak: {timezone: America/New_York, open: ["Sat-Sun"]}}'
)


def schedules(pairs: tuple[Pair[Values], ...]) -> Mapping[str, Schedule | None]:
    """Return the schedules by name; None stands for one whose mistakes were reported."""
    return {pair.name: _schedule(pair) for pair in pairs}


def _schedule(pair: Pair[Values]) -> Schedule | None:
    zone = pair.value.maybe(TIMEZONE) if pair.value else None
    if pair.value is None or zone is None:
        return None
    week: list[list[tuple[int, int]]] = [[] for _ in DAYS]
    for days, hours in pair.value.get(OPEN, ()):
        for day in days:
            week[day] += hours
    dates = {
        date.fromisoformat(entry.name): entry.value for entry in pair.value.get(DATES, ()) if entry.value is not None
    }
    return Schedule(pair.name, zone, tuple(merged(spans) for spans in week), dates)
