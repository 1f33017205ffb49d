"""When a line was written."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from policyd.replay.stamps import Stamps

WRITTEN = datetime(2026, 1, 2, 3, 0, tzinfo=UTC)


def read(stamp: str, written: datetime = WRITTEN, zone: str = "UTC") -> str:
    """Return a stamp's moment, "" for none."""
    at = Stamps(written, ZoneInfo(zone)).read(stamp)
    return "" if at is None else datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds")[:-6]


@pytest.mark.parametrize(
    ("stamp", "moment"),
    [
        ("Jan  2 02:59:59", "2026-01-02T02:59:59.000"),
        ("Dec 31 23:59:59", "2025-12-31T23:59:59.000"),
        ("Jan  3 02:59:59", "2026-01-03T02:59:59.000"),
        ("Jan 12 02:59:59", "2025-01-12T02:59:59.000"),
        ("Feb 29 12:00:00", "2024-02-29T12:00:00.000"),
        ("2026-01-02T02:59:59Z", "2026-01-02T02:59:59.000"),
        ("2026-01-02T02:59:59.123456+01:00", "2026-01-02T01:59:59.123"),
        ("2026-01-02T02:59:59,5-0500", "2026-01-02T07:59:59.500"),
        ("2026-01-02T02:59:59+0530", "2026-01-01T21:29:59.000"),
    ],
)
def test_moments(stamp: str, moment: str) -> None:
    """A stamp of syslog has the latest year that is not after its file; one of ISO 8601 says all itself."""
    assert read(stamp) == moment


def test_the_zone_of_the_host() -> None:
    """A stamp of syslog is of its host's zone, with its daylight saving."""
    assert read("Jul  1 12:00:00", zone="Europe/Berlin") == "2025-07-01T10:00:00.000"
    assert read("Dec  1 12:00:00", zone="Europe/Berlin") == "2025-12-01T11:00:00.000"


@pytest.mark.parametrize(
    "stamp", ["Foo  2 02:59:59", "Jan 32 02:59:59", "Jan  1 25:00:00", "2026-13-02T02:59:59Z", "2026-01-02T25:59:59Z"]
)
def test_no_moment(stamp: str) -> None:
    """What looks like a stamp and is none has no moment."""
    assert not read(stamp)
