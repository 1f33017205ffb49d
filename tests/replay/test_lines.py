"""What the lines of a log say, and that nothing in one can stop the parser."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policyd.replay.lines import Delivered, Line, LogEvent, Queued, Received, Refused, Removed, first_moment, parse
from policyd.replay.stamps import Stamps
from tests.replay.logged import NOW, START, Written, stamped

STAMPS = Stamps(START + timedelta(hours=1))
LINE = Line(NOW, "mx", "4A1")

FILTERED = (
    "postfix/smtp[7]: 4A1: to=<b@c>, relay=127.0.0.1[127.0.0.1]:10024, dsn=2.0.0, status=sent (250 2.0.0 from "
    "MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as 4A2)"
)
REFUSED = (
    "postfix/smtpd[7]: 4A1: reject: RCPT from a[127.0.0.1]: 450 4.7.1 <b@c>: Recipient address rejected: Limit x: "
    "4 of 4 recipients in 1h used; mail flows again at 2026-11-23T11:00:00+00:00; ref 0123456789; from=<a@d> "
    "to=<b@c> proto=ESMTP helo=<h> sasl_username=<l@d>"
)
RELAYING = (
    "postfix/smtpd[7]: NOQUEUE: reject: RCPT from a[192.0.2.7]: 554 5.7.1 <b@c>: Relay access denied; from=<x@y> "
    "to=<b@c> proto=ESMTP helo=<h>"
)

SAID: list[tuple[str, LogEvent]] = [
    ("postfix/smtpd[7]: 4A1: client=unknown[192.0.2.7]", Received(LINE, "", "192.0.2.7", "", again=False)),
    (
        "postfix/submission/smtpd[7]: 4A1: client=a[2001:db8::1]:4711, sasl_method=PLAIN, sasl_username=x@example.org",
        Received(LINE, "submission", "2001:db8::1", "x@example.org", again=False),
    ),
    (
        "postfix/smtpd[7]: 4A1: client=localhost[127.0.0.1], orig_queue_id=4A0, orig_client=a[192.0.2.7]",
        Received(LINE, "", "127.0.0.1", "", again=True),
    ),
    ("postfix/pickup[7]: 4A1: uid=33 from=<www>", Received(LINE, "pickup", "", "", again=False)),
    ("postfix/qmgr[7]: 4A1: from=<>, size=12, nrcpt=3 (queue active)", Queued(LINE, "", 12, 3)),
    ("postfix/qmgr[7]: 4A1: removed", Removed(LINE)),
    (
        "postfix/local[7]: 4A1: to=<b@c>, orig_to=<info@c>, relay=local, delay=1, dsn=2.0.0, status=sent (to mailbox)",
        Delivered(LINE, "b@c", "info@c", ""),
    ),
    (FILTERED, Delivered(LINE, "b@c", "b@c", "4A2")),
    (
        "postfix/smtp[7]: 4A1: to=<b@c>, relay=mx.c[192.0.2.9]:25, dsn=2.0.0, status=sent (250 Ok: queued as 4A2)",
        Delivered(LINE, "b@c", "b@c", ""),
    ),
    (REFUSED, Refused(LINE, "", "127.0.0.1", "l@d", "a@d", "b@c")),
]


def events(*texts: str) -> list[LogEvent]:
    """Return what lines say."""
    return parse("".join(f"{text}\n" for text in texts), STAMPS).events


@pytest.mark.parametrize(("text", "event"), SAID, ids=[type(event).__name__ for _, event in SAID])
def test_what_a_line_says(text: str, event: LogEvent) -> None:
    """Each kind of line is one event."""
    assert events(stamped(text)) == [event]


@pytest.mark.parametrize(
    "text",
    [
        "postfix/smtpd[7]: connect from unknown[192.0.2.7]",
        RELAYING,
        "postfix/smtp[7]: 4A1: to=<b@c>, relay=none, no word of how it went",
        "dovecot: imap-login: Login: user=<x>",
        "postfix/qmgr[7]: 4A1: from=<a@b>, status=expired, returned to sender",
    ],
)
def test_what_says_nothing(text: str) -> None:
    """A line of a log that is not about who sent to whom is no event, and no junk either."""
    assert parse(stamped(text), STAMPS) == ([], 1, 0)


@pytest.mark.parametrize("text", ["", "x", "Nov 23", "last message repeated 3 times", "\x00\x00\x00", "\udcff\udcfe"])
def test_junk(text: str) -> None:
    """A line without stamp and host is junk, and the next one is read."""
    assert parse(f"{text}\n{stamped(SAID[0][0])}\n", STAMPS) == ([SAID[0][1]], 2, 1)


def test_a_stamp_that_is_none() -> None:
    """A line at no moment says nothing."""
    assert events("Nov 31 10:00:00 mx postfix/qmgr[7]: 4A1: removed") == []
    assert first_moment("Nov 31 10:00:00 mx x\nNov 23 10:00:00 mx x\n", STAMPS) is not None
    assert first_moment("x\n", STAMPS) is None


@given(st.lists(st.text(alphabet=st.characters(exclude_characters="\n")), max_size=5), st.integers(0, 5))
def test_junk_anywhere_changes_nothing(junk: list[str], at: int) -> None:
    """Whatever lines stand between those of a message, its events are the same."""
    lines = Written("4A1").lines()
    mixed = "".join(f"{line}\n" for line in [*lines[:at], *junk, *lines[at:]])

    found = parse(mixed, STAMPS)
    assert found.events == events(*lines)
    assert found.total == len(lines) + len(junk)


@given(st.data())
def test_a_damaged_line_is_never_an_error(data: st.DataObject) -> None:
    """Bytes that are lost or changed give other events or none."""
    text = stamped(data.draw(st.sampled_from(SAID))[0])
    start, end = sorted((data.draw(st.integers(0, len(text))), data.draw(st.integers(0, len(text)))))
    damaged = text[:start] + data.draw(st.text()) + text[end:]

    found = parse(damaged, STAMPS)
    assert found.total == damaged.count("\n") + (not damaged.endswith("\n") and damaged != "")
    assert 0 <= found.junk <= found.total
