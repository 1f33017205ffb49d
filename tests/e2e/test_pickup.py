"""Mail from sendmail(1) and PHP: counted like other mail, and never bounced because of us."""

from collections.abc import Iterator

import pytest

from tests.support.daemon import HOUR, Serve, rate
from tests.support.postfix import Postfix
from tests.support.sink import Sink
from tests.support.wait import until

LIMIT = "domain-hourly"


@pytest.fixture(autouse=True)
def emptied(postfix: Postfix) -> Iterator[None]:
    """Leave nothing in the queue that the next daemon would be asked about."""
    yield
    postfix.delete([one["queue_id"] for one in postfix.queue() if one["queue_name"] == "deferred"])


def tried(postfix: Postfix, queue_id: str, times: int) -> None:
    """Wait until Postfix has tried that often to deliver a message."""
    until(lambda: len(postfix.log.messages[queue_id].attempts) == times, f"try {times} of {queue_id}")


def test_over_the_limit_mail_waits_and_is_charged_once_when_it_passes(
    postfix: Postfix, serve: Serve, sink: Sink, domain: str
) -> None:
    """Queue runs while the limit is reached charge nothing; after the hour the message goes out for one recipient."""
    daemon = serve([domain], {LIMIT: rate(2)})
    target = f"{domain}.sink.test"
    for _ in range(2):
        postfix.sendmail(f"www@{domain}", [f"x@{target}"])
    sink.wait(target, 2)
    daemon.advance(HOUR // 2)
    postfix.sendmail(f"www@{domain}", [f"x@{target}"])
    (waiting,) = until(lambda: postfix.waiting(domain), "the third message waits")
    for run in range(2, 5):
        postfix.flush([waiting])
        tried(postfix, waiting, run)
    assert daemon.used(domain, LIMIT) == 2
    assert len(sink.to(target)) == 2

    daemon.advance(HOUR // 2 + 60_000)
    assert daemon.used(domain, LIMIT) == 0
    postfix.flush([waiting])
    sink.wait(target, 3)
    until(lambda: postfix.log.messages[waiting].removed, "the message has left the queue")
    assert daemon.used(domain, LIMIT) == 1


def test_a_message_that_fits_in_part_sends_that_part(postfix: Postfix, serve: Serve, sink: Sink, domain: str) -> None:
    """Of ten recipients four fit; they are delivered, and the six others wait."""
    daemon = serve([domain], {LIMIT: rate(4)})
    target = f"{domain}.sink.test"
    postfix.sendmail(f"www@{domain}", [f"x{number}@{target}" for number in range(10)])
    sink.wait(target, 4)
    (waiting,) = until(lambda: postfix.waiting(domain), "the rest waits")
    (entry,) = (one for one in postfix.queue() if one["queue_id"] == waiting)
    assert len(entry["recipients"]) == 6
    assert daemon.used(domain, LIMIT) == 4


def test_200_mails_with_an_invented_sender_over_the_limit_make_no_bounce(
    postfix: Postfix, serve: Serve, domain: str
) -> None:
    """They wait in the queue; no notice goes to somebody who never wrote to us."""
    limits = {"unlisted-hourly": {**rate(10), "traffic": ["relayed"], "over": "defer"}}
    daemon = serve([domain], limits)
    invented = f"invented-{domain.removesuffix('.hosted.test')}.example"
    for number in range(200):
        postfix.sendmail(f"u{number}@{invented}", ["x@remote.test"])
    until(lambda: len(postfix.waiting(invented)) == 190, "190 messages wait", deadline=60)
    first = postfix.log.picked_up(invented)
    assert len(first) == 200
    assert [one.notices for one in first] == [[]] * 200
    assert {attempt.status for one in first for attempt in one.attempts} == {"sent", "deferred"}
    assert daemon.used("(unlisted)", "unlisted-hourly") == 10


def test_a_permanent_refusal_does_not_bounce_either(postfix: Postfix, serve: Serve, domain: str) -> None:
    """Where a limit rejects scripts after all, the recipe's soft_bounce keeps the message."""
    serve([domain], {LIMIT: rate(0, over={"user": "reject", "script": "reject", "list": "defer"})})
    postfix.sendmail(f"www@{domain}", ["x@remote.test"])
    (waiting,) = until(lambda: postfix.waiting(domain), "the message waits")
    assert postfix.log.messages[waiting].notices == []


def test_an_unknown_mailbox_bounces_as_without_the_recipe(postfix: Postfix, serve: Serve, domain: str) -> None:
    """What is wrong with a recipient is left to delivery; the second pass checks no recipients."""
    serve([domain], {LIMIT: rate(5)})
    postfix.sendmail(f"www@{domain}", [f"nosuch@{domain}"])
    postfix.log.wait_queued(domain, 1)
    assert postfix.waiting(domain) == []
