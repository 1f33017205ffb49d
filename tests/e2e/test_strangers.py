"""A real Mailman 3 answers strangers: however many they are, and whatever the list, that is no mailing."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from secrets import token_hex

import pytest

from tests.support.daemon import LocalDaemon, Serve, Yaml
from tests.support.mailman import Mailman
from tests.support.postfix import Postfix
from tests.support.postfix_log import Refusal
from tests.support.sink import Sink
from tests.support.smtp import Login, post, send
from tests.support.wait import until

MEMBERS, MOST, OVER, STRANGERS = 8, 10, 5, 15
LIMITS = {"list-size": {"kind": "size", "max": MOST, "lifted_by": "hours"}}
SCHEDULES = {"hours": {"timezone": "UTC", "open": ["Sun 03:00-03:01"]}}
"""Out of them, which the tests are: a post is taken, and its mailing waits if the list is too large."""

OUTSIDE = "127.0.0.2"
VERP = pytest.mark.parametrize("verp", [False, True], ids=["one-sender", "verp"])


@dataclass
class Site:
    """One list, ``news``, of a hosted domain, and strangers who write to it, or in whose names it is written to."""

    domain: str
    postfix: Postfix
    mailman: Mailman
    sink: Sink
    daemon: LocalDaemon

    def moderate(self, action: str) -> None:
        """Have Mailman hold, or reject, what comes from outside."""
        wanted = {"default_nonmember_action": action}
        self.mailman.ask(f"lists/news.{self.domain}/config", wanted, method="PATCH")

    def write(self, stranger: str, to: str = "news") -> None:
        """Send a message from outside, forged or not."""
        sender, target = f"{stranger}@s.{self.domain}.sink.test", f"{to}@{self.domain}"
        head = f"From: {sender}\r\nTo: {target}\r\nSubject: test\r\nMessage-ID: <{token_hex(8)}@client.test>"
        sent = send(self.postfix.port("smtp"), sender, [target], source=OUTSIDE, body=f"{head}\r\n\r\nt\r\n".encode())
        assert sent.queued == 1

    def answered(self, number: int) -> set[str]:
        """Wait until so many answers have reached their strangers, and return whom."""
        found = self.sink.wait(f"s.{self.domain}.sink.test", number)
        return {name.partition("@")[0] for one in found for name in one.recipients}

    def post(self) -> None:
        """Send a post as a user of the domain, which the list takes from anybody."""
        self.moderate("accept")
        author = Login(f"alice@{self.domain}")
        assert post(self.postfix.port("submission"), author, f"news@{self.domain}").queued == 1

    def copies(self, number: int) -> Counter[str]:
        """Wait until so many copies have reached members, and return whom."""
        found = self.sink.wait(f"{self.domain}.sink.test", number)
        return Counter(name for one in found for name in one.recipients)

    def refused(self) -> list[Refusal]:
        """Return what of the list's was refused."""
        return [one for one in self.postfix.log.refusals if one.sender.endswith(f"@{self.domain}")]

    def size(self) -> int:
        """Return how large policyd takes the list for."""
        gauges = self.daemon.ask("/v1/status", subject=f"news@{self.domain}")["gauges"]
        return sum(gauge["used"] for gauge in gauges if gauge["limit"] == "list-size")


Start = Callable[..., Site]


@pytest.fixture
def start(postfix: Postfix, mailman: Mailman, sink: Sink, serve: Serve, domain: str) -> Start:
    """Return what makes the list, of ``members``, and a policyd that knows Mailman by its context."""

    def make(members: int, *, verp: bool, known: Yaml | None = None) -> Site:
        lists = {"contexts": ["mailman"], "mailing_over": OVER, "seen_slack": "0%", "known": known or {}}
        daemon = serve([domain], LIMITS, lists=lists, schedules=SCHEDULES)
        mailman.add_list(f"news@{domain}", [f"m{number}@{domain}.sink.test" for number in range(members)])
        mailman.deliver("lists", verp=verp)
        return Site(domain, postfix, mailman, sink, daemon)

    return make


@VERP
def test_strangers_in_whose_name_somebody_posts_leave_a_list_open(start: Start, verp: bool) -> None:
    """More of them are answered than the list may have members; then its members have their post."""
    site = start(MEMBERS, verp=verp)
    site.moderate("reject")
    for number in range(STRANGERS):
        site.write(f"s{number}")
    assert len(site.answered(STRANGERS)) == STRANGERS
    assert site.size() == 0

    site.post()
    assert set(site.copies(MEMBERS).values()) == {1}
    assert site.size() == MEMBERS


@VERP
def test_a_list_out_of_its_hours_answers_and_mails_nobody(start: Start, domain: str, verp: bool) -> None:
    """The words of a held post, of a subscription and of an unsubscription, and the notices to its owner, flow."""
    known = {f"php@{domain}": {"posting": f"news@{domain}", "size": 5000}}
    site = start(OVER + 5, verp=verp, known=known)
    site.post()
    site.copies(OVER)
    until(lambda: {one.code for one in site.refused()} == {450}, "the rest of the mailing waits")

    site.moderate("hold")
    strangers = {f"held{number}" for number in range(OVER + 5)} | {"joins", "leaves"}
    for stranger in sorted(strangers):
        site.write(stranger, {"joins": "news-join", "leaves": "news-leave"}.get(stranger, "news"))
    assert site.answered(len(strangers)) == strangers
    assert not [one for one in site.refused() if one.recipient.endswith(f"@s.{domain}.sink.test")]


@VERP
def test_a_mailing_shows_how_large_a_list_is(start: Start, verp: bool) -> None:
    """One recipient in each message, or many: the post that shows it goes to everybody, the next one waits."""
    site = start(MOST + 1, verp=verp)
    site.post()
    assert set(site.copies(MOST + 1).values()) == {1}
    assert site.size() == MOST + 1
