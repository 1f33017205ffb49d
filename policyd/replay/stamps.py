"""When a line was written: the time stamps of syslog, which know no year, and those of ISO 8601.

    Nov 23 10:43:00                        in the zone of the host that wrote it
    2026-11-23T10:43:00.123456+01:00       rsyslog, journalctl -o short-iso

A stamp of syslog is the latest such moment that is not after the file was written last.
"""

import re
from datetime import UTC, datetime, timedelta, tzinfo

PATTERN = r"(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d))"
"""A stamp, as a regular expression without groups."""

_FRACTION = re.compile(r"[.,](\d{1,3})")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_LENIENCE = timedelta(days=1)
_YEARS = 8
"""Years to look back for a 29th of February."""

_MOST_MINUTES = 100_000


class Stamps:
    """Reads the stamps of one file. ``written`` is when it was written last, aware; ``zone`` None is this host's."""

    def __init__(self, written: datetime, zone: tzinfo | None = None) -> None:
        self._latest, self._zone = written + _LENIENCE, zone
        self._minutes: dict[str, int | None] = {}

    def read(self, stamp: str) -> int | None:
        """Return the moment of a stamp in ms since the epoch, None when there is no such moment."""
        if stamp[0].isalpha():
            start, seconds, zone = stamp[:12], stamp[13:15], ""
        else:
            start, seconds, zone = stamp[:16], stamp[17:19], stamp[19:].lstrip(".,0123456789")
        minute = self._minute(start + zone)
        if minute is None:
            return None
        return minute + int(seconds) * 1000 + _fraction(stamp)

    def _minute(self, text: str) -> int | None:
        if text not in self._minutes:
            if len(self._minutes) >= _MOST_MINUTES:
                self._minutes.clear()
            found = self._syslog(text) if text[0].isalpha() else _iso(text)
            self._minutes[text] = None if found is None else int(found.timestamp() * 1000)
        return self._minutes[text]

    def _syslog(self, text: str) -> datetime | None:
        if text[:3] not in _MONTHS:
            return None
        month = _MONTHS.index(text[:3]) + 1
        for year in range(self._latest.year, self._latest.year - _YEARS - 1, -1):
            try:
                local = datetime(year, month, int(text[4:6]), int(text[7:9]), int(text[10:12]))
                found = local.replace(tzinfo=self._zone) if self._zone else local.astimezone()
            except (ValueError, OverflowError):
                continue
            if found <= self._latest:
                return found
        return None


def _iso(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _fraction(stamp: str) -> int:
    """Return the milliseconds of a stamp that has some."""
    found = _FRACTION.match(stamp, len("2026-11-23T10:43:00"))
    return int(found[1].ljust(3, "0")) if found else 0
