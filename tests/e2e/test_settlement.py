"""What was accepted and never sent is given back; what was sent is charged, to the unit."""

import random
from collections.abc import Callable

import pytest

from tests.support.daemon import LocalDaemon, Serve, rate
from tests.support.postfix import Postfix
from tests.support.postfix_files import FOREIGN, LOCAL
from tests.support.smtp import Login, Session, send
from tests.support.wait import until

PATIENCE = 2 * 45_000 + 2_000
"""How long policyd waits for a message whose connection has closed, in ms."""
LIMIT = "domain-hourly"


def recipients(count: int, prefix: str = "r") -> list[str]:
    """Return that many recipients elsewhere."""
    return [f"{prefix}{number}@remote.test" for number in range(count)]


def prove(postfix: Postfix, port: str, domain: str, login: Login | None = None) -> None:
    """Show policyd an END-OF-MESSAGE of this kind of traffic, with one recipient."""
    assert send(postfix.port(port), f"shop@{domain}", recipients(1), login).queued == 1


def give_up(session: Session, domain: str, count: int) -> None:
    """Name recipients of a message in a session and leave it at that."""
    session.mail(f"shop@{domain}")
    assert [session.rcpt(name).code for name in recipients(count)] == [250] * count


def all_closed(daemon: LocalDaemon) -> None:
    """Wait until Postfix has closed its connections, and let the time pass in which it may come back."""
    until(lambda: daemon.connections() == 0, "Postfix closes its connections to policyd")
    daemon.advance(PATIENCE)


def test_a_message_that_was_reset_is_given_back_when_the_next_begins(
    postfix: Postfix, serve: Serve, domain: str
) -> None:
    """After RSET the charges stand until the same smtpd asks about another message."""
    daemon = serve([domain], {LIMIT: rate(400)})
    prove(postfix, "brief", domain)
    with Session(postfix.port("brief")) as session:
        give_up(session, domain, 3)
        assert daemon.used(domain, LIMIT) == 4
        session.command("RSET")
        sent = session.send(f"shop@{domain}", recipients(2))
        assert sent.queued == 2
    postfix.log.wait_queued(domain, 3)
    assert daemon.used(domain, LIMIT) == 3
    assert daemon.metric("policyd_given_back_total") == 1


@pytest.mark.parametrize("leave", [Session.drop, lambda session: session.command("QUIT")], ids=["drop", "quit"])
def test_a_message_that_was_left_is_given_back(
    postfix: Postfix, serve: Serve, domain: str, leave: Callable[[Session], object]
) -> None:
    """After a lost connection or QUIT the charges are undone once Postfix cannot come back any more."""
    daemon = serve([domain], {LIMIT: rate(400)})
    prove(postfix, "brief", domain)
    with Session(postfix.port("brief")) as session:
        give_up(session, domain, 3)
        leave(session)
    until(lambda: daemon.connections() == 0, "Postfix closes its connections to policyd")
    daemon.advance(PATIENCE - 1)
    assert daemon.used(domain, LIMIT) == 4
    daemon.advance(1)
    assert daemon.used(domain, LIMIT) == 1


def test_a_message_that_postfix_refuses_at_data_is_given_back(postfix: Postfix, serve: Serve, domain: str) -> None:
    """A reject at DATA comes after our answers; nothing of it stays charged."""
    daemon = serve([domain], {LIMIT: rate(400)})
    prove(postfix, "brief", domain)
    sent = send(postfix.port("brief"), f"refused@{domain}", recipients(4))
    assert sent.codes == [250] * 4
    assert sent.queued == 0
    all_closed(daemon)
    assert daemon.used(domain, LIMIT) == 1


def test_a_recipient_that_postfix_refuses_after_us_is_not_charged(postfix: Postfix, serve: Serve, domain: str) -> None:
    """An unknown mailbox is asked about before Postfix refuses it; the end of the message puts it right."""
    daemon = serve([domain], {LIMIT: rate(400)})
    sent = send(postfix.port("smtp"), f"shop@{domain}", [f"nosuch@{domain}", f"bob@{domain}", "x@remote.test"])
    assert sent.codes == [550, 250, 250]
    postfix.log.wait_queued(domain, 2)
    assert daemon.used(domain, LIMIT) == 2


def test_a_bare_postmaster_is_charged_at_the_end(postfix: Postfix, serve: Serve, domain: str) -> None:
    """Postfix never asks about the recipient postmaster and counts it; so do we, past the maximum if need be."""
    daemon = serve([domain], {LIMIT: rate(1)})
    assert send(postfix.port("smtp"), f"shop@{domain}", ["postmaster", "x@remote.test"]).queued == 2
    postfix.log.wait_queued(domain, 2)
    assert daemon.used(domain, LIMIT) == 2


def test_a_recipient_named_twice_is_charged_twice(postfix: Postfix, serve: Serve, domain: str) -> None:
    """The second naming looks like a repeat at RCPT; the end of the message tells that it was none."""
    daemon = serve([domain], {LIMIT: rate(400)})
    assert send(postfix.port("smtp"), f"shop@{domain}", ["x@remote.test", "x@remote.test"]).codes == [250, 250]
    assert daemon.used(domain, LIMIT) == 2


def test_an_end_after_the_give_back_charges_again(postfix: Postfix, serve: Serve, domain: str) -> None:
    """A client that is slower than our patience between RCPT and DATA is charged when its message ends."""
    daemon = serve([domain], {LIMIT: rate(4)})
    prove(postfix, "reconnects", domain)
    with Session(postfix.port("reconnects")) as session:
        give_up(session, domain, 3)
        all_closed(daemon)
        assert daemon.used(domain, LIMIT) == 1
        assert send(postfix.port("reconnects"), f"shop@{domain}", recipients(3)).queued == 3
        assert session.data().code == 250
    postfix.log.wait_queued(domain, 7)
    assert daemon.used(domain, LIMIT) == 7


def test_a_restart_between_recipient_and_end_changes_nothing(postfix: Postfix, serve: Serve, domain: str) -> None:
    """The next daemon settles what the former one charged, from the record in the store."""
    daemon = serve([domain], {LIMIT: rate(400)})
    with Session(postfix.port("smtp")) as session:
        give_up(session, domain, 2)
        assert session.rcpt(f"nosuch@{domain}").code == 550
        assert daemon.used(domain, LIMIT) == 3
        daemon.restart()
        assert session.rcpt("later@remote.test").code == 250
        daemon.restart()
        assert session.data().code == 250
    postfix.log.wait_queued(domain, 3)
    assert daemon.used(domain, LIMIT) == 3


@pytest.mark.parametrize(
    ("ports", "login"),
    [(("smtp", "smtp-final"), False), (("submission", "submission-final"), True)],
    ids=["local", "submission"],
)
def test_a_port_without_the_end_of_message_check_keeps_its_charges(
    postfix: Postfix, serve: Serve, domain: str, ports: tuple[str, str], login: bool
) -> None:
    """One port proves nothing for another: where no END-OF-MESSAGE is shown, an aborted message stays charged."""
    daemon = serve([domain], {LIMIT: rate(400)})
    with_end, without_end = ports
    user = Login(f"alice@{domain}") if login else None
    prove(postfix, with_end, domain, user)
    prove(postfix, without_end, domain, user)
    assert daemon.used(domain, LIMIT) == 2
    for port, stays in ((without_end, 3), (with_end, 0)):
        before = daemon.used(domain, LIMIT)
        with Session(postfix.port(port), user) as session:
            give_up(session, domain, 3)
            session.command("RSET")
            assert session.send(f"shop@{domain}", recipients(1)).queued == 1
        assert daemon.used(domain, LIMIT) == before + stays + 1


def test_a_kind_that_stops_showing_ends_becomes_final(postfix: Postfix, serve: Serve, domain: str) -> None:
    """After 20 accepted messages without an END-OF-MESSAGE nothing is given back, until there is one again."""
    daemon = serve([domain], {LIMIT: rate(400)})
    prove(postfix, "brief", domain)
    with Session(postfix.port("brief")) as session:
        for _ in range(23):
            give_up(session, domain, 1)
            session.command("RSET")
        assert daemon.metric("policyd_given_back_total") == 20
        assert daemon.used(domain, LIMIT) == 1 + 23 - 20
        assert session.send(f"shop@{domain}", recipients(1)).queued == 1
        give_up(session, domain, 1)
        session.command("RSET")
        assert session.send(f"shop@{domain}", recipients(1)).queued == 1
    assert daemon.metric("policyd_given_back_total") == 21


def random_recipient(chance: random.Random, domain: str, number: int) -> str:
    """Return a recipient that is no other's of its message, or one that Postfix refuses."""
    names = (f"r{number}@remote.test", f"r{number}@remote.test", f"r{number}@{domain}", f"nosuch@{domain}")
    return chance.choice(names)


def random_mail(postfix: Postfix, chance: random.Random, domain: str) -> None:
    """Send one or two messages, or begin them, in one of the ways of a day."""
    port = chance.choice(["brief", "brief", "smtp", "submission"])
    login = Login(f"{chance.choice(['alice', 'bob'])}@{domain}") if port == "submission" else None
    source = FOREIGN if port == "brief" and chance.random() < 0.1 else LOCAL
    with Session(postfix.port(port), login, source) as session:
        for _ in range(chance.randint(1, 2)):
            senders = ["", f"alice@{domain}"] if login else [f"shop@{domain}"] * 4 + [f"refused@{domain}"]
            session.mail(chance.choice(senders))
            replies = [session.rcpt(random_recipient(chance, domain, number)) for number in range(chance.randint(1, 8))]
            ending = chance.random()
            if ending < 0.15:
                session.drop()
                return
            if ending < 0.3 or not any(reply.code == 250 for reply in replies):
                session.command("RSET")
            else:
                session.data()


def test_after_a_mixed_day_the_charges_equal_what_postfix_queued(postfix: Postfix, serve: Serve, domain: str) -> None:
    """Over ports, logins, refusals, resets and lost clients, Redis has charged what Postfix's log shows as queued."""
    daemon = serve([domain], {LIMIT: rate(150), "user-hourly": rate(40, per="user", traffic=["user"])})
    for port, login in (("brief", None), ("smtp", None), ("submission", Login(f"alice@{domain}"))):
        prove(postfix, port, domain, login)
    chance = random.Random(2)
    for _ in range(100):
        random_mail(postfix, chance, domain)
        daemon.advance(10_000)
    postfix.sendmail(f"www@{domain}", recipients(2))
    until(lambda: any(one.attempts for one in postfix.log.picked_up(domain)), "the mail from sendmail(1) is tried")
    postfix.delete(postfix.waiting(domain))
    postfix.reload()  # ends idle smtpd processes, and with them what was left open on their connections
    all_closed(daemon)
    queued = postfix.log.queued(domain)
    assert 100 < queued <= 150
    assert daemon.used(domain, LIMIT) == queued
