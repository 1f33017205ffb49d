"""The test set-up itself: mail flows, logins work and the log is read right before policyd comes in."""

from collections.abc import Iterator

import pytest

from tests.support.mailman import Mailman
from tests.support.postfix import Postfix
from tests.support.postfix_files import FOREIGN
from tests.support.responder import Request, Responder
from tests.support.sink import Sink
from tests.support.smtp import Login, Session, post, send
from tests.support.wait import until


@pytest.fixture
def responder(postfix: Postfix) -> Iterator[Responder]:
    """Answer the policy requests of the test's Postfix with DUNNO."""
    one = Responder(postfix.policy)
    one.start()
    yield one
    one.stop()


@pytest.mark.parametrize("port", ["smtp", "smtp-final", "brief", "reconnects", "hasty"])
def test_mail_of_a_local_client_is_asked_about_and_reaches_the_next_hop(
    postfix: Postfix, responder: Responder, sink: Sink, domain: str, port: str
) -> None:
    """A message to two recipients through a local port asks twice at RCPT and arrives whole."""
    target = f"{domain}.sink.test"
    sent = send(postfix.port(port), f"a@{domain}", [f"x@{target}", f"y@{target}"])
    assert sent.codes == [250, 250]
    assert sent.queued == 2
    sink.wait(target, 2)
    postfix.log.wait_queued(domain, 2)
    assert [one.port for one in postfix.log.of(domain)] == [port]
    assert len(responder.asked(sender=f"a@{domain}", protocol_state="RCPT")) == 2
    ends = responder.asked(sender=f"a@{domain}", protocol_state="END-OF-MESSAGE", recipient_count="2")
    assert len(ends) == (0 if port == "smtp-final" else 1)


@pytest.mark.parametrize("port", ["submission", "submission-final"])
def test_a_login_is_checked_by_dovecot_and_named_to_the_policy_service(
    postfix: Postfix, responder: Responder, domain: str, port: str
) -> None:
    """A SASL login sends with any sender; its name stands in the request and in the log."""
    sent = send(postfix.port(port), "", ["x@remote.test"], Login(f"alice@{domain}"))
    assert sent.queued == 1
    assert len(responder.asked(sasl_username=f"alice@{domain}", sender="", protocol_state="RCPT")) == 1
    postfix.log.wait_queued(domain, 1)


def test_a_submission_port_takes_nobody_without_a_login(postfix: Postfix, responder: Responder, domain: str) -> None:
    """Without a login the submission port refuses and asks nobody."""
    assert send(postfix.port("submission"), f"a@{domain}", ["x@remote.test"]).codes == [554]
    assert responder.asked(sender=f"a@{domain}") == []


def test_a_foreign_client_reaches_mailboxes_only(postfix: Postfix, responder: Responder, domain: str) -> None:
    """From an address outside mynetworks only hosted mailboxes are accepted, and its address is named."""
    recipients = [f"bob@{domain}", "x@remote.test", f"nosuch@{domain}"]
    sent = send(postfix.port("smtp"), "stranger@example.com", recipients, source=FOREIGN)
    assert sent.codes == [250, 554, 550]
    asked = responder.asked(client_address=FOREIGN, recipient=f"bob@{domain}", protocol_state="RCPT")
    assert len(asked) == 1


def test_refusals_are_read_from_the_log(postfix: Postfix, responder: Responder, domain: str) -> None:
    """What the policy service refuses shows in the log with its port, code, stage and addresses."""

    def answer(request: Request) -> str:
        return "450 4.7.1 not now" if request["recipient"].startswith("bad") else "DUNNO"

    responder.answer = answer
    recipients = ["x@remote.test", "bad@remote.test"]
    assert send(postfix.port("smtp"), f"a@{domain}", recipients).codes == [250, 450]
    mine = until(lambda: [one for one in postfix.log.refusals if one.sender == f"a@{domain}"], "the refusal is logged")
    assert [(one.port, one.stage, one.code, one.recipient) for one in mine] == [
        ("smtp", "RCPT", 450, "bad@remote.test"),
    ]
    postfix.log.wait_queued(domain, 1)


def test_data_of_some_senders_is_refused_after_the_recipients(
    postfix: Postfix, responder: Responder, domain: str
) -> None:
    """A sender named refused has his recipients accepted and then his message refused."""
    sent = send(postfix.port("smtp"), f"refused@{domain}", ["x@remote.test"])
    assert sent.codes == [250]
    assert sent.data is not None
    assert sent.data.code == 554
    assert sent.queued == 0
    assert len(responder.asked(sender=f"refused@{domain}")) == 1


def test_a_bare_postmaster_is_counted_and_never_asked_about(
    postfix: Postfix, responder: Responder, domain: str
) -> None:
    """A recipient without a domain that is postmaster comes up in recipient_count only."""
    with Session(postfix.port("smtp")) as session:
        assert session.send(f"a@{domain}", ["postmaster", "x@remote.test"]).queued == 2
    assert [one["recipient"] for one in responder.asked(sender=f"a@{domain}", protocol_state="RCPT")] == [
        "x@remote.test",
    ]
    assert len(responder.asked(sender=f"a@{domain}", recipient_count="2")) == 1


def test_mail_from_sendmail_is_injected_again_and_asked_about(
    postfix: Postfix, responder: Responder, sink: Sink, domain: str
) -> None:
    """The pickup recipe brings sendmail(1) mail before the policy service, with the context pickup."""
    target = f"{domain}.sink.test"
    postfix.sendmail(f"www@{domain}", [f"x@{target}"])
    sink.wait(target, 1)
    asked = responder.asked(sender=f"www@{domain}", policy_context="pickup")
    assert [one["protocol_state"] for one in asked] == ["RCPT", "END-OF-MESSAGE"]
    postfix.log.wait_queued(domain, 1)
    (second,) = postfix.log.of(domain)
    (first,) = until(
        lambda: [one for one in postfix.log.messages.values() if second.queue_id in one.injected], "the log names both"
    )
    assert first.was_picked_up


def test_refused_mail_from_sendmail_waits_and_goes_out_later(
    postfix: Postfix, responder: Responder, sink: Sink, domain: str
) -> None:
    """Even a 550 on the re-injection port keeps the message in the queue and makes no bounce."""
    responder.answer = lambda _request: "550 5.7.1 no"
    target = f"{domain}.sink.test"
    postfix.sendmail(f"www@{domain}", [f"x@{target}"])
    (waiting,) = until(lambda: postfix.waiting(domain), "the message is deferred")
    assert postfix.log.messages[waiting].notices == []
    assert [one.status for one in postfix.log.messages[waiting].attempts] == ["SOFTBOUNCE"]
    responder.answer = lambda _request: "DUNNO"
    postfix.flush([waiting])
    sink.wait(target, 1)
    until(lambda: postfix.log.messages[waiting].removed, "the first queue file is removed")


def test_a_post_reaches_mailman_and_then_each_member(
    postfix: Postfix, mailman: Mailman, responder: Responder, sink: Sink, domain: str
) -> None:
    """Mailman mails to many at once with the list's sender, with VERP to each with his own; a 550 goes to his score."""
    members, unknown = [f"m{number}@{domain}.sink.test" for number in range(3)], f"nosuch@{domain}"
    mailman.add_list(f"news@{domain}", [*members, unknown])
    for copies, verp in ((3, False), (6, True)):
        mailman.deliver("lists", verp=verp)
        post(postfix.port("submission"), Login(f"alice@{domain}"), f"news@{domain}")
        sink.wait(f"{domain}.sink.test", copies)
    mailman.wait_idle()
    asked = responder.asked(protocol_state="RCPT", policy_context="mailman")
    senders = [one["sender"] for one in asked if one["recipient"] in members]
    assert senders[:3] == [f"news-bounces@{domain}"] * 3
    assert sorted(senders[3:]) == [f"news-bounces+m{number}={domain}.sink.test@{domain}" for number in range(3)]
    until(lambda: mailman.scores(f"news@{domain}")[unknown], "Mailman has counted a bounce")
    assert mailman.scores(f"news@{domain}") == {**dict.fromkeys(members, 0), unknown: 1}
