"""Full mailboxes: the README's blocks, word for word, in a real Postfix and a real Dovecot."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.support.mailstore import MailStore
from tests.support.postfix import Postfix
from tests.support.postfix_files import FOREIGN, LOCAL
from tests.support.postfix_log import Attempt
from tests.support.readme import blocks
from tests.support.responder import Responder
from tests.support.smtp import Session
from tests.support.wait import until

MEGABYTE = 1_000_000
FULL = "Recipient address rejected: Mailbox is full (20 MB)"
BIG = b"Subject: big\r\n\r\n" + (b"y" * 76 + b"\r\n") * (3 * MEGABYTE // 78)

Hosts = tuple[Postfix, MailStore]
Start = Callable[[str], Hosts]


@pytest.fixture
def start() -> Iterator[Start]:
    """Return what starts a Postfix and a Dovecot with the recipe and more lines for Dovecot."""
    with ExitStack() as running:

        def start(more: str) -> Hosts:
            postfix = Postfix()
            running.callback(postfix.stop)
            postfix.append(main=blocks("main.cf") + blocks("main.cf quota"))
            postfix.append(main=f"virtual_alias_maps = regexp:{postfix.base}/aliases\n")
            (postfix.base / "aliases").write_text("/^alias\\+(.*)@(.*)$/ ${1}@${2}\n")
            postfix.add("smtp", {})
            postfix.start()
            responder = Responder(postfix.policy)
            responder.start()
            running.callback(responder.stop)
            recipe = blocks("dovecot.conf quota").replace("/var/spool/postfix", str(postfix.base / "queue"))
            store = MailStore("protocols = pop3\n" + recipe + more)
            running.callback(store.stop)
            store.start()
            return postfix, store

        yield start


def delivered(postfix: Postfix, recipient: str) -> Attempt:
    """Return how the first try to deliver to a recipient ended."""

    def attempts() -> list[Attempt]:
        tried = (attempt for message in postfix.log.messages.values() for attempt in message.attempts)
        return [attempt for attempt in tried if attempt.recipient == recipient]

    return until(attempts, f"Postfix tries to deliver to {recipient}")[0]


def test_a_full_mailbox_is_refused_and_its_neighbour_accepted(start: Start, domain: str) -> None:
    """Above 20 MB a mailbox gets 552 5.2.2 at RCPT, declared size or not, also by an extension; another is served."""
    postfix, store = start("")
    store.fill(f"full@{domain}", 21 * MEGABYTE)
    for options, source in ((("SIZE=1000",), FOREIGN), ((), FOREIGN), ((), LOCAL)):
        with Session(postfix.port("smtp"), source=source) as session:
            session.mail(f"stranger@{domain}.test", *options)
            refused, accepted = session.rcpt(f"full@{domain}"), session.rcpt(f"empty@{domain}")
            assert (refused.code, refused.text) == (552, f"5.2.2 <full@{domain}>: {FULL}")
            assert accepted.code == 250
            assert session.rcpt(f"full+tag@{domain}").code == 552
            assert session.data().code == 250
    until(lambda: store.messages(f"empty@{domain}") == 3, "the message arrives three times")
    assert store.messages(f"full@{domain}") == 1


def test_without_grace_an_undeclared_size_is_a_hole(start: Start, domain: str) -> None:
    """With quota_grace = 0 a message of undeclared size is accepted, refused by LMTP, and bounces to a stranger."""
    postfix, store = start("plugin {\n  quota_grace = 0%%\n}\n")
    mailbox = f"bob@{domain}"
    store.fill(mailbox, 19 * MEGABYTE)
    with Session(postfix.port("smtp"), source=FOREIGN) as session:
        session.mail(f"forged@{domain}.test", f"SIZE={len(BIG)}")
        assert session.rcpt(mailbox).code == 552
        session.command("RSET")
        assert session.send(f"forged@{domain}.test", [mailbox], BIG).queued == 1
    attempt = delivered(postfix, mailbox)
    assert (attempt.status, "552 5.2.2" in attempt.text) == ("bounced", True)
    delivered(postfix, f"forged@{domain}.test")


def test_with_grace_the_hole_is_closed(start: Start, domain: str) -> None:
    """The message that takes a mailbox above 20 MB is delivered, the next one is refused at RCPT: nothing bounces."""
    postfix, store = start("")
    mailbox = f"bob@{domain}"
    store.fill(mailbox, 19 * MEGABYTE)
    with Session(postfix.port("smtp"), source=FOREIGN) as session:
        assert session.send(f"stranger@{domain}.test", [mailbox], BIG).queued == 1
        assert delivered(postfix, mailbox).status == "sent"
        session.mail(f"stranger@{domain}.test")
        assert session.rcpt(mailbox).code == 552
    assert store.messages(mailbox) == 2
    assert [one.notices for one in postfix.log.messages.values()] == [[]]


@pytest.mark.timeout(400)
def test_the_largest_message_fits_the_grace(start: Start, domain: str) -> None:
    """A message as large as message_size_limit allows is delivered to a mailbox that is all but full."""
    postfix, store = start("")
    mailbox = f"bob@{domain}"
    store.fill(mailbox, 20 * 1024 * 1024 - 10_000)
    largest = b"Subject: largest\r\n\r\n" + (b"z" * 76 + b"\r\n") * 131_000
    with Session(postfix.port("smtp"), source=FOREIGN) as session:
        assert session.send(f"stranger@{domain}.test", [mailbox], largest).queued == 1
    assert delivered(postfix, mailbox).status == "sent"


def test_an_alias_of_a_full_mailbox_bounces(start: Start, domain: str) -> None:
    """What remains: Postfix asks about the alias, LMTP refuses the full mailbox behind it."""
    postfix, store = start("")
    store.fill(f"full@{domain}", 21 * MEGABYTE)
    with Session(postfix.port("smtp"), source=FOREIGN) as session:
        assert session.send(f"stranger@{domain}.test", [f"alias+full@{domain}"]).queued == 1
    assert delivered(postfix, f"full@{domain}").status == "bounced"


def test_mail_flows_while_dovecot_is_not_asked(start: Start, domain: str) -> None:
    """A Dovecot that is down refuses nobody: its mail waits in the queue."""
    postfix, store = start("")
    store.stop()
    with Session(postfix.port("smtp"), source=FOREIGN) as session:
        assert session.send(f"stranger@{domain}.test", [f"bob@{domain}"]).queued == 1
    assert delivered(postfix, f"bob@{domain}").status == "deferred"
