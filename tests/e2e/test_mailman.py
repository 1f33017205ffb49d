"""A real Mailman 3 behind a real Postfix: whatever is refused in the middle of a mailing, nobody loses a copy."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.support.daemon import HOUR, LocalDaemon, Serve, rate
from tests.support.mailman import MAX_RECIPIENTS, Mailman
from tests.support.postfix import Postfix
from tests.support.sink import Sink
from tests.support.smtp import Login, post, send
from tests.support.wait import until

DOMAIN, LIST = "domain-hourly", "list-share"
MOST, SHARE, PEOPLE = 70, 60, 20
LIMITS = {DOMAIN: rate(MOST), LIST: rate(SHARE, traffic=["list"])}
NEXT = HOUR + HOUR // 60
"""After so long nothing of an hour is left in the windows."""


@dataclass
class Mailing:
    """One list, ``news``, of a hosted domain, and what became of a post to it."""

    domain: str
    postfix: Postfix
    mailman: Mailman
    sink: Sink
    daemon: LocalDaemon
    members: list[str]

    def post(self, port: str, *, verp: bool) -> None:
        """Send a post as a user of the domain; Mailman mails the members through that port."""
        self.mailman.deliver(port, verp=verp)
        author = Login(f"alice@{self.domain}")
        assert post(self.postfix.port("submission"), author, f"news@{self.domain}").queued == 1

    def copies(self) -> Counter[str]:
        """Return how many copies of each member have reached the next hop."""
        return Counter(name for one in self.sink.to(f"{self.domain}.sink.test") for name in one.recipients)

    def wait_copies(self, number: int) -> None:
        """Wait until that many copies have reached the next hop, in all."""
        self.sink.wait(f"{self.domain}.sink.test", number)

    def refused(self) -> Counter[int]:
        """Return how many recipients of Mailman's were refused, by code."""
        mine = (one for one in self.postfix.log.refusals if one.sender.startswith("news-bounces"))
        return Counter(one.code for one in mine if one.sender.endswith(f"@{self.domain}"))

    def wait_refused(self, more: int) -> None:
        """Wait until so many more were refused: Mailman tries again and again."""
        enough = self.refused()[450] + more
        until(lambda: self.refused()[450] >= enough, f"{more} more are refused")

    def wait_over(self) -> None:
        """Wait until neither Mailman nor Postfix has anything of it left."""
        self.mailman.wait_idle()
        until(lambda: not [one for one in self.postfix.queue() if self.domain in one["sender"]], "the queue is empty")

    def hang_ups(self) -> list[str]:
        """Return what Postfix logged about clients that it hung up on for their errors."""
        mine = (line for line in self.postfix.log.lines if self.domain in line or "too many errors" in line)
        return [line for line in mine if ": 421 " in line or "too many errors" in line]


Start = Callable[[int], Mailing]


@pytest.fixture
def start(postfix: Postfix, mailman: Mailman, sink: Sink, serve: Serve, domain: str) -> Start:
    """Return what makes the list, with so many members, behind a policyd that knows Mailman by its context."""

    def make(size: int) -> Mailing:
        daemon = serve([domain], LIMITS, lists={"contexts": ["mailman"]})
        members = [f"m{number}@{domain}.sink.test" for number in range(size)]
        mailman.add_list(f"news@{domain}", members)
        return Mailing(domain, postfix, mailman, sink, daemon, members)

    return make


@pytest.mark.parametrize("verp", [False, True], ids=["one-sender", "verp"])
def test_every_member_gets_one_copy_though_most_are_refused_at_first(start: Start, verp: bool) -> None:
    """Over three hours, refused by the domain's limit and then by the lists' share, each in the middle of a chunk."""
    mailing = start(MAX_RECIPIENTS + MAX_RECIPIENTS // 2)
    hung_up = len(mailing.hang_ups())
    people = [f"x{number}@remote.test" for number in range(PEOPLE - 1)]
    assert send(mailing.postfix.port("smtp"), f"bob@{mailing.domain}", people).queued == PEOPLE - 1

    mailing.post("lists", verp=verp)
    for copies in (MOST - PEOPLE, MOST - PEOPLE + SHARE):
        mailing.wait_copies(copies)
        mailing.wait_refused(len(mailing.members) - copies + 1)
        assert mailing.copies().total() == copies
        mailing.daemon.advance(NEXT)
    mailing.wait_copies(len(mailing.members))
    mailing.wait_over()

    assert mailing.copies() == Counter(mailing.members)
    assert set(mailing.mailman.scores(f"news@{mailing.domain}").values()) == {0}
    assert set(mailing.refused()) == {450}
    assert len(mailing.hang_ups()) == hung_up


def test_with_the_error_limits_that_postfix_has_by_itself_copies_are_lost(start: Start) -> None:
    """The control: at the 21st refusal Postfix hangs up, and whom Mailman has not asked about it takes for served."""
    mailing = start(MAX_RECIPIENTS)

    mailing.post("lists-default", verp=False)
    mailing.wait_refused(21)
    mailing.daemon.advance(NEXT)
    mailing.wait_over()

    assert mailing.hang_ups()
    assert mailing.copies().total() == 21
    assert set(mailing.mailman.scores(f"news@{mailing.domain}").values()) == {0}
