"""Values of a Config as the configuration writes them: for ``config show`` and for the log of changes."""

from collections.abc import Iterable
from itertools import groupby

from policyd.conf import units
from policyd.conf.limits import UNLIMITED
from policyd.conf.listed import KnownList
from policyd.conf.schedules import ALL_DAY, DAYS, Hours
from policyd.conf.schema import Limit, PaceLimit, RateLimit, Schedule, SizeLimit
from policyd.conf.strikes import shown_strikes
from policyd.model import LOGIN_COUNTS, Counts, MailProtocol, Per, TrafficKind, Way
from policyd.plural import plural

DEFAULT = "default"
"""The origin of a field that nobody wrote."""


def fields(limit: Limit) -> dict[str, str]:
    """Return all fields of a limit as text; ``over`` by traffic, as ``over.user``."""
    own: dict[str, str] = {}
    if isinstance(limit, RateLimit):
        own = _of_rate(limit)
    elif isinstance(limit, PaceLimit):
        own = _of_pace(limit)
    elif isinstance(limit, SizeLimit):
        own = _of_size(limit)
    return own | {"mode": limit.mode.value, "lifted_by": limit.lifted_by or "-"}


def summary(limit: Limit) -> str:
    """Return what a limit allows, in short."""
    most = ""
    if isinstance(limit, RateLimit):
        most = f"{amount(limit)} {limit.counts} in {units.duration_text(limit.window)} "
    elif isinstance(limit, PaceLimit):
        most = f"one recipient each {units.duration_text(limit.every)} by {limit.transport or 'delayed answers'} "
    elif isinstance(limit, SizeLimit):
        most = f"{amount(limit)} {'address' if limit.max == 1 else 'addresses'} "
    return f"{most}per {limit.per}"


def _of_rate(limit: RateLimit) -> dict[str, str]:
    shown = {
        "counts": limit.counts.value,
        "per": limit.per.value,
        "max": amount(limit),
        "window": units.duration_text(limit.window),
    }
    return shown | (_of_logins(limit) if limit.counts in LOGIN_COUNTS else _of_mail(limit))


def _of_logins(limit: RateLimit) -> dict[str, str]:
    return {
        "protocols": ", ".join(one for one in MailProtocol if one in limit.protocols) or "all",
        "lock": units.duration_text(limit.lock) if limit.lock else "-",
        "tell": "true" if limit.tell else "false",
    }


def _of_pace(limit: PaceLimit) -> dict[str, str]:
    way = Way.TRANSPORT if limit.transport else Way.ANSWER
    shown = {"per": limit.per.value, "every": units.duration_text(limit.every), "by": way.value}
    if limit.transport:
        shown |= {"transport": str(limit.transport)}
    else:
        shown |= {"delay_up_to": units.duration_text(limit.delay_up_to)}
    return shown | _of_mail(limit)


def _of_size(limit: SizeLimit) -> dict[str, str]:
    shown = {"per": limit.per.value, "max": amount(limit), "remember": units.duration_text(limit.remember)}
    if limit.per is Per.LIST_FAMILY:
        shown |= {"family": limit.family.value}
    if limit.unconfirmed:
        shown |= {"unconfirmed": "true"}
    strikes = shown_strikes(limit.strikes) if limit.strikes else "-"
    return shown | {f"over.{TrafficKind.LIST}": limit.over[TrafficKind.LIST].value, "strikes": strikes}


def _of_mail(limit: RateLimit | PaceLimit) -> dict[str, str]:
    return {
        "traffic": ", ".join(kind for kind in TrafficKind if kind in limit.traffic),
        **{f"over.{kind}": limit.over[kind].value for kind in TrafficKind if kind in limit.over},
        "recipients": limit.recipients.value,
        "strikes": shown_strikes(limit.strikes) if limit.strikes else "-",
    }


def origin(limit: Limit, field: str) -> str:
    """Return where the value of a field comes from: ``limit NAME (place)`` and the like, or DEFAULT."""
    written = limit.origins.get(field)
    if written is None and field.startswith("over."):
        written = limit.origins.get("over")
    return written or DEFAULT


def amount(limit: RateLimit | SizeLimit) -> str:
    """Return the max of a limit as text."""
    if limit.max is None:
        return UNLIMITED
    in_bytes = isinstance(limit, RateLimit) and limit.counts is Counts.BYTES
    return units.size_text(limit.max) if in_bytes else str(limit.max)


def known_list(known: KnownList) -> str:
    """Return what the configuration says of a list as text."""
    size = f", {plural(known.size, 'address')}" if known.size is not None else ""
    return f"{known.posting}{size}{f', family {known.family}' if known.family else ''}"


def openings(schedule: Schedule) -> list[str]:
    """Return the hours of a schedule as text: those of the week, then those of single dates."""
    week = [_opening(days, hours) for hours, days in groupby(range(len(DAYS)), key=schedule.week.__getitem__) if hours]
    dates = [f"{day.isoformat()} {hours_text(hours)}" for day, hours in sorted(schedule.dates.items())]
    return [*week, *dates]


def hours_text(hours: Hours) -> str:
    """Return the hours of a day as text; a whole day is ``open``, none is ``closed``."""
    if hours == ((0, ALL_DAY),):
        return "open"
    return ",".join(f"{_clock(start)}-{_clock(end)}" for start, end in hours) or "closed"


def _opening(days: Iterable[int], hours: Hours) -> str:
    names = [DAYS[day] for day in days]
    span = names[0] if len(names) == 1 else f"{names[0]}-{names[-1]}"
    return span if hours_text(hours) == "open" else f"{span} {hours_text(hours)}"


def _clock(minutes: int) -> str:
    minutes = minutes if minutes <= ALL_DAY else minutes - ALL_DAY
    return f"{minutes // 60:02}:{minutes % 60:02}"
