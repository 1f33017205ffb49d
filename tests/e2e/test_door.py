"""Posts to the lists of a real Mailman through a real Postfix: who is told at the door, and what comes through."""

from collections.abc import Iterator

import pytest

from tests.support.daemon import HOUR, Serve
from tests.support.mailman import Mailman
from tests.support.postfix import Postfix
from tests.support.postfix_files import FOREIGN
from tests.support.sink import Sink
from tests.support.smtp import Login, Sent, post, send

MAILMAN = {"contexts": ["mailman"], "mailing_over": 0, "seen_slack": "0%"}
MOST = 3
CLOSED = "This list cannot take posts now"


@pytest.fixture
def news(mailman: Mailman, domain: str) -> Iterator[str]:
    """Return the posting address of a list with one member too many."""
    mailman.add_list(f"news@{domain}", [f"m{number}@{domain}.sink.test" for number in range(MOST + 1)])
    mailman.deliver("lists", verp=False)
    yield f"news@{domain}"
    mailman.wait_idle()


def from_outside(postfix: Postfix, recipient: str) -> Sent:
    """Return what an author elsewhere hears."""
    return send(postfix.port("smtp"), "author@elsewhere.test", [recipient], source=FOREIGN)


def test_a_list_with_too_many_members_is_refused_at_the_door(
    postfix: Postfix, sink: Sink, serve: Serve, news: str
) -> None:
    """From the second post on, when its first one has shown its size; what goes to Mailman itself comes through."""
    domain = news.partition("@")[2]
    serve([domain], {"list-size": {"kind": "size", "max": MOST}}, lists=MAILMAN)
    alice = Login(f"alice@{domain}")
    assert post(postfix.port("submission"), alice, news).queued == 1
    sink.wait(f"{domain}.sink.test", MOST + 1)

    told = post(postfix.port("submission"), alice, news)
    assert told.codes == [550]
    assert f"Limit list-size: {news} has {MOST + 1} addresses, {MOST} are allowed on plan shared" in told.rcpt[0].text
    heard = from_outside(postfix, news)
    assert heard.codes == [550]
    assert CLOSED in heard.rcpt[0].text
    assert "plan" not in heard.rcpt[0].text

    for part in ("request", "owner", "leave"):
        assert from_outside(postfix, f"news-{part}@{domain}").queued == 1


@pytest.mark.parametrize("outside_hours", ["defer", "reject"])
def test_outside_its_hours_a_list_says_when_to_come_again(
    postfix: Postfix, sink: Sink, serve: Serve, news: str, outside_hours: str
) -> None:
    """The clock stands on a Thursday at 20:26:40; from 22:00 on, the post is taken and mailed."""
    domain = news.partition("@")[2]
    known = {f"php@{domain}": {"posting": news, "size": MOST + 1}}
    daemon = serve(
        [domain],
        {"list-off-peak": {"kind": "size", "max": MOST, "lifted_by": "night"}},
        lists=MAILMAN | {"known": known, "outside_hours": outside_hours},
        schedules={"night": {"timezone": "UTC", "open": ["Mon-Sun 22:00-23:59"]}},
    )
    heard = from_outside(postfix, news)
    assert heard.codes == [{"defer": 450, "reject": 550}[outside_hours]]
    assert f"{CLOSED}; it can from 2026-05-28T22:00:00+00:00 on" in heard.rcpt[0].text

    daemon.advance(2 * HOUR)
    assert from_outside(postfix, news).queued == 1
    sink.wait(f"{domain}.sink.test", MOST + 1)
