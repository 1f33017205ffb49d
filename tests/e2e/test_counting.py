"""A domain's hour through a real Postfix: what is let through, what is refused, and what the refusal says."""

import re
from datetime import datetime

import pytest

from tests.support.daemon import HOUR, LocalDaemon, Serve, Yaml, rate
from tests.support.postfix import Postfix
from tests.support.smtp import Login, Reply, Session, send
from tests.support.wait import until

REFUSAL = re.compile(
    r"[45]\.7\.1 <(?P<recipient>\S+)>: Recipient address rejected: Limit (?P<limit>\S+): (?P<used>\d+) of (?P<max>\d+) "
    r"recipients in 1h used; mail flows again at (?P<resumes>\S+); ref (?P<ref>[0-9A-HJKMNP-TV-Z]{10})"
)


def names(count: int, prefix: str = "r") -> list[str]:
    """Return that many recipients elsewhere."""
    return [f"{prefix}{number}@remote.test" for number in range(count)]


def refusal(reply: Reply) -> dict[str, str]:
    """Return the parts of a refusal's text."""
    match = REFUSAL.fullmatch(reply.text)
    assert match, reply.text
    assert reply.text.isascii()
    return match.groupdict()


def fill_the_hour(postfix: Postfix, daemon: LocalDaemon, domain: str) -> None:
    """Send to 390 recipients: as two users, as a local script over SMTP, and by sendmail(1)."""
    for login, messages, size in ((f"alice@{domain}", 5, 20), (f"bob@{domain}", 3, 50)):
        for _ in range(messages):
            assert send(postfix.port("submission"), login, names(size), Login(login)).queued == size
    for _ in range(10):
        assert send(postfix.port("smtp"), f"shop@{domain}", names(10)).queued == 10
    for _ in range(4):
        postfix.sendmail(f"www@{domain}", names(10))
    daemon.wait_used(domain, "domain-hourly", 390)
    postfix.log.wait_queued(domain, 390)


def test_the_401st_recipient_of_a_domain_is_refused_and_told_why(postfix: Postfix, serve: Serve, domain: str) -> None:
    """400 recipients an hour are accepted over users, logins and scripts; one more gets 550, from a script 450."""
    other = f"other-{domain}"
    daemon = serve([domain, other], {"domain-hourly": rate(400)})
    fill_the_hour(postfix, daemon, domain)

    alice = Login(f"alice@{domain}")
    last = send(postfix.port("submission"), alice.name, names(15), alice)
    assert last.codes == [250] * 10 + [550] * 5
    assert last.queued == 10
    told = refusal(last.rcpt[10])
    assert (told["recipient"], told["limit"]) == ("r10@remote.test", "domain-hourly")
    assert (told["used"], told["max"]) == ("400", "400")
    script = send(postfix.port("smtp"), f"shop@{domain}", names(2))
    assert script.codes == [450, 450]
    assert refusal(script.rcpt[0])["ref"] == told["ref"]

    assert send(postfix.port("submission"), f"x@{other}", names(50), Login(f"x@{other}")).queued == 50
    postfix.log.wait_queued(domain, 400)
    assert daemon.used(domain, "domain-hourly") == 400
    assert daemon.used(other, "domain-hourly") == 50


def test_mail_flows_again_at_the_moment_that_the_refusal_named(postfix: Postfix, serve: Serve, domain: str) -> None:
    """Until the named second the next recipient is refused, and from it on accepted."""
    daemon = serve([domain], {"domain-hourly": rate(200)})
    alice = Login(f"alice@{domain}")
    assert send(postfix.port("submission"), alice.name, names(200), alice).queued == 200
    daemon.advance(17 * 60_000 + 123)
    told = refusal(send(postfix.port("submission"), alice.name, names(1), alice).rcpt[0])
    resumes = int(datetime.fromisoformat(told["resumes"]).timestamp() * 1000)
    now = daemon.clock.now()
    assert 0 < resumes - now <= HOUR
    daemon.advance(resumes - now - 1_000)
    assert send(postfix.port("submission"), alice.name, names(1), alice).codes == [550]
    daemon.advance(1_000)
    assert send(postfix.port("submission"), alice.name, names(1), alice).codes == [250]


def test_a_users_limit_and_the_domains_are_charged_both_or_neither(postfix: Postfix, serve: Serve, domain: str) -> None:
    """What a user's own limit refuses is not charged to the domain, and the other way round."""
    limits = {"domain-hourly": rate(30), "user-hourly": rate(20, per="user", traffic=["user"])}
    daemon = serve([domain], limits)
    alice, bob = Login(f"alice@{domain}"), Login(f"bob@{domain}")

    sent = send(postfix.port("submission"), alice.name, names(25), alice)
    assert sent.codes == [250] * 20 + [550] * 5
    assert refusal(sent.rcpt[20])["limit"] == "user-hourly"
    assert daemon.used(domain, "domain-hourly") == 20

    sent = send(postfix.port("submission"), bob.name, names(15), bob)
    assert sent.codes == [250] * 10 + [550] * 5
    assert refusal(sent.rcpt[10])["limit"] == "domain-hourly"
    assert daemon.used(bob.name, "user-hourly") == 10
    assert daemon.used(alice.name, "user-hourly") == 20
    assert daemon.used(domain, "domain-hourly") == 30
    postfix.log.wait_queued(domain, 30)


def test_messages_are_counted_once_however_many_recipients_they_have(
    postfix: Postfix, serve: Serve, domain: str
) -> None:
    """With two messages an hour for a user, the third is refused at its first recipient."""
    daemon = serve([domain], {"user-messages": rate(2, counts="messages", per="user", traffic=["user"])})
    alice, bob = Login(f"alice@{domain}"), Login(f"bob@{domain}")
    for size in (3, 2):
        assert send(postfix.port("submission"), alice.name, names(size), alice).queued == size
    assert send(postfix.port("submission"), alice.name, names(2), alice).codes == [550, 550]
    assert send(postfix.port("submission"), bob.name, names(2), bob).queued == 2
    assert daemon.used(alice.name, "user-messages") == 2


def test_bytes_are_counted_by_the_real_size_of_a_message(postfix: Postfix, serve: Serve, domain: str) -> None:
    """A message is charged what it declares, and at its end what it really has, once for all its recipients."""
    daemon = serve([domain], {"domain-bytes": rate("100kB", counts="bytes")})
    body = b"Subject: x\r\n\r\n" + b"x" * 70 + b"\r\n" + (b"y" * 76 + b"\r\n") * 500
    with Session(postfix.port("submission"), Login(f"alice@{domain}")) as session:
        session.mail(f"alice@{domain}", "SIZE=60000")
        assert [session.rcpt(name).code for name in names(2)] == [250, 250]
        assert daemon.used(domain, "domain-bytes") == 60_000
        assert session.data(body).code == 250
        real = daemon.used(domain, "domain-bytes")
        assert len(body) <= real < 50_000
        session.mail(f"alice@{domain}", "SIZE=90000")
        assert session.rcpt("x@remote.test").code == 550
        session.command("RSET")
        session.mail(f"alice@{domain}", "SIZE=20000")
        assert session.rcpt("x@remote.test").code == 250
    assert daemon.used(domain, "domain-bytes") == real + 20_000


@pytest.mark.parametrize(
    ("per", "subjects"),
    [
        ("sender", ({"sender": "a"}, {"sender": "b"})),
        ("client", ({"source": "127.0.0.1"}, {"source": "127.0.0.2"})),
        ("user", ({"login": "a"}, {"login": "b"})),
    ],
)
def test_each_subject_has_a_counter_of_its_own(
    postfix: Postfix, serve: Serve, domain: str, per: str, subjects: tuple[dict[str, str], dict[str, str]]
) -> None:
    """A limit per sender, client or user refuses one of them and leaves the others of the domain alone."""
    one, another = subjects
    serve([domain], {"some": rate(3, per=per)})

    def codes(choice: dict[str, str], recipients: int) -> list[int]:
        chosen = {"sender": "s", "source": "127.0.0.1", "login": "u"} | choice
        login = Login(f"{chosen['login']}@{domain}")
        sender = f"{chosen['sender']}@{domain}"
        return send(postfix.port("submission"), sender, names(recipients), login, source=chosen["source"]).codes

    assert codes(one, 4) == [250, 250, 250, 550]
    assert codes(another, 3) == [250, 250, 250]
    assert codes(one, 1) == [550]


@pytest.mark.parametrize(
    ("limit", "code"),
    [
        (rate(0), 550),
        (rate("unlimited"), 250),
        (rate(1, mode="observe"), 250),
        (rate(1, over="accept"), 250),
        (rate(1, traffic=["script"]), 250),
        (rate(1, over="defer"), 450),
    ],
    ids=["max-0", "unlimited", "observe", "over-accept", "other-traffic", "over-defer"],
)
def test_what_a_limit_does_over_its_maximum(
    postfix: Postfix, serve: Serve, domain: str, limit: Yaml, code: int
) -> None:
    """The second recipient of a user hears what the limit's max, mode, traffic and over say."""
    serve([domain], {"some": limit})
    alice = Login(f"alice@{domain}")
    assert send(postfix.port("submission"), alice.name, names(2), alice).codes[1] == code


def test_a_script_over_a_limit_that_quarantines_is_held(postfix: Postfix, serve: Serve, domain: str) -> None:
    """``over: {script: quarantine}`` accepts the message into the hold queue of Postfix."""
    serve([domain], {"domain-hourly": rate(1, over={"user": "reject", "script": "quarantine", "list": "defer"})})
    assert send(postfix.port("smtp"), f"shop@{domain}", names(1)).queued == 1
    assert send(postfix.port("smtp"), f"shop@{domain}", names(1)).queued == 1
    held = until(
        lambda: [one for one in postfix.queue() if one["queue_name"] == "hold" and one["sender"] == f"shop@{domain}"],
        "one message is held",
    )
    assert len(held) == 1
    postfix.delete([held[0]["queue_id"]])
