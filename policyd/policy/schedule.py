"""Whether a schedule is open at a moment.

Decided by membership of half-open intervals, never by a subtraction of local times, so that
daylight saving cannot bend it.
"""

from datetime import UTC, datetime

from policyd.conf.schema import Schedule


def is_open(schedule: Schedule, now: int) -> bool:
    """Return whether the schedule is open at ``now``, in ms since the epoch."""
    local = datetime.fromtimestamp(now / 1000, UTC).astimezone(schedule.timezone)
    intervals = schedule.dates.get(local.date())
    if intervals is None:
        intervals = schedule.week[local.weekday()]
    minute = local.hour * 60 + local.minute
    return any(start <= minute < end for start, end in intervals)
