"""What the log says of sentinels that no longer name the master."""

import pytest

from policyd.store.attendance import PATIENCE, Attendance

AWAY = (
    "no sentinel has named the master counters for 5 s: Connection refused; "
    "as long as the master and the connections to it last, mail is counted"
)
BACK = "a sentinel names the master counters again"


def said(caplog: pytest.LogCaptureFixture, *heard: tuple[int, float]) -> list[str]:
    """Return what is logged when so many sentinels named the master at these moments, asked from 0 on."""
    caplog.set_level("INFO", "policyd.store")
    caplog.clear()
    attendance = Attendance("counters", 0.0)
    for up, now in heard:
        attendance.heard(up, now, "" if up else "Connection refused")
        assert attendance.up == up
    return caplog.messages


def test_that_none_names_it_is_said_once_and_that_one_does(caplog: pytest.LogCaptureFixture) -> None:
    """One warning when it has lasted, one line when it is over, and both again the next time."""
    heard = [(3, 1), (0, 2), (0, 6), (0, 7), (0, 60), (1, 61), (3, 62), (0, 66), (0, 67)]

    assert said(caplog, *heard) == [AWAY, BACK, AWAY]
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO", "WARNING"]


def test_a_moment_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    """Nor are sentinels of which one is left."""
    assert said(caplog, (3, 1), (0, 2), (0, 0.99 + PATIENCE), (1, 10), (1, 100), (0, 104)) == []


def test_sentinels_that_never_answered(caplog: pytest.LogCaptureFixture) -> None:
    """They are waited for as long, from the start on."""
    assert said(caplog, (0, 0.25), (0, 0.99 * PATIENCE)) == []
    assert said(caplog, (0, 0.25), (0, PATIENCE)) == [AWAY]
