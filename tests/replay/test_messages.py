"""From the events of a log to the mail that policyd would have been asked about."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from policyd.replay.lines import parse
from policyd.replay.messages import Found, Mail, Messages, requests
from policyd.replay.stamps import Stamps
from tests.replay.logged import NOW, START, Written, stamped

STAMPS = Stamps(START + timedelta(hours=1))
REFUSED = (
    "{program}[7]: {queue_id}: reject: RCPT from a[{client}]: 550 5.7.1 <c@remote.test>: Recipient address rejected: "
    "Limit x: 4 of 4 recipients in 1h used; mail flows again at 2026-11-23T11:00:00+00:00; ref 0123456789; "
    "from=<alice@example.org> to=<c@remote.test> proto=ESMTP helo=<h>"
)


def found(*lines: str) -> Found:
    """Return the mail of a log."""
    messages = Messages()
    messages.take(parse("".join(f"{line}\n" for line in lines), STAMPS).events)
    return messages.found()


def mail(**fields: object) -> Mail:
    """Return what a plain Written is found as."""
    plain = Mail(NOW, "submission", "192.0.2.7", "alice@example.org", "alice@example.org", 317, ("bob@remote.test",))
    return plain._replace(**fields)  # type: ignore[arg-type]


def test_a_message_of_a_login() -> None:
    """It is asked about when it began, with its login, sender, size and recipients."""
    assert found(*Written("4A1").lines()) == ([mail()], 0, 0, 0)


@given(st.permutations(Written("4A1").lines() + Written("4A2", after=0.0005).lines()))
def test_lines_in_any_order(lines: list[str]) -> None:
    """Lines that were written out of order are the same messages, and mail comes in order of time."""
    assert found(*lines).mails == [mail(), mail(at=NOW)]


def test_an_id_that_is_used_again() -> None:
    """After a message was removed its id names another one."""
    mails = found(*Written("4A1").lines(), *Written("4A1", sender="carol@example.org", after=60).lines()).mails

    assert [one.sender for one in mails] == ["alice@example.org", "carol@example.org"]


def test_the_same_id_on_two_hosts() -> None:
    """Two hosts may use the same id at the same time."""
    lines = Written("4A1").lines()

    assert len(found(*lines, *(line.replace(" mx ", " my ") for line in lines)).mails) == 2


def test_the_same_lines_twice() -> None:
    """A file that is read twice, as itself and as a copy, counts once."""
    assert found(*Written("4A1").lines(), *Written("4A1").lines()).mails == [mail()]


def test_recipients_as_the_client_named_them() -> None:
    """Of an alias that leads to three the client named one; of whom no delivery is logged no name is known."""
    one = Written("4A1", recipients=("x@c", "y@c", "z@c"))
    aliased = [line.replace("@c>, relay", "@c>, orig_to=<team@c>, relay") for line in one.lines()]
    late = [line for line in one.lines() if "to=<y@c>" not in line]

    assert found(*aliased).mails == [mail(recipients=("team@c",))]
    assert found(*late).mails == [mail(recipients=("x@c", "z@c", ""))]


def test_a_message_that_is_tried_again_and_again() -> None:
    """A deferred message is asked about once."""
    lines = Written("4A1").lines()

    assert found(*lines[:-1], *lines[3:]).mails == [mail()]


def test_mail_from_sendmail() -> None:
    """It is this host's, in the context of the recipe; handed to an smtpd by the recipe, it is asked about once."""
    script = Written("4A1", begin="postfix/pickup[7]: 4A1: uid=33 from=<alice@example.org>")
    handed_on = [
        line.replace("mx.remote.test[198.51.100.7]:25", "127.0.0.1[127.0.0.1]:10027") for line in script.lines()
    ]
    handed_on = [line.replace("250 2.0.0 Ok", "250 2.0.0 Ok: queued as 4A2") for line in handed_on]
    second = Written("4A2", client="127.0.0.1", port="pickup", login="", after=0.001)
    refused = stamped(REFUSED.format(program="postfix/pickup/smtpd", queue_id="NOQUEUE", client="127.0.0.1"))
    expected = mail(port="pickup", client="", login="")

    assert found(*script.lines()).mails == [expected]
    assert found(*second.lines(), *handed_on, refused) == ([expected], 0, 1, 0)


def test_what_is_not_asked_about() -> None:
    """A bounce is Postfix's own; what never got into the queue, or began before the log, is unfinished."""
    bounce = [line for line in Written("4A1", sender="").lines() if "client=" not in line]
    aborted = Written("4A2").lines()[:2]
    begun = [line for line in Written("4A3").lines() if "client=" not in line]

    assert found(*bounce, *aborted, *begun) == ([], 1, 0, 2)


def test_what_policyd_refused_was_asked_too() -> None:
    """A refusal is a recipient of its message's login; before the message had an id the login may not be known."""
    in_message = REFUSED.format(program="postfix/submission/smtpd", queue_id="4A1", client="192.0.2.7")
    before = REFUSED.format(program="postfix/submission/smtpd", queue_id="NOQUEUE", client="192.0.2.7")
    refused = mail(at=NOW + 2, size=0, recipients=("c@remote.test",), refused=True)

    assert found(*Written("4A1", more=[in_message]).lines()).mails == [mail(), refused]
    assert found(stamped(before, 0.002)).mails == [refused._replace(login="")]


def test_what_postfix_would_ask() -> None:
    """One request for each recipient, or one at the end of the message; a script's comes from this host."""
    two = mail(recipients=("a@remote.test", "b@remote.test"), client="")
    asked = requests(two, 7)
    [end] = requests(two, 7, at_end=True)

    assert [one.recipient for one in asked] == ["a@remote.test", "b@remote.test"]
    assert {one[:-8] for one in asked} == {("RCPT", "127.0.0.1", 0, "", 0)}
    assert (end.protocol_state, end.recipient, end.recipient_count) == ("END-OF-MESSAGE", "", 2)
    assert end[-4:] == ("replay.7", 317, "alice@example.org", "submission")
