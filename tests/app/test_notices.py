"""Whole daemons that tell a customer, the admin and a program what happens."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from email import message_from_bytes
from email.header import decode_header, make_header
from email.policy import SMTP
from pathlib import Path

import pytest

from policyd.cli.client import AdminClient
from policyd.notices.letter import signature
from tests.app.conftest import Start
from tests.support.command import policyd
from tests.support.daemon import Yaml, rate
from tests.support.hook import Hook
from tests.support.process import Process
from tests.support.redis import RedisServer
from tests.support.secretfile import write_secret
from tests.support.sink import Delivery, Sink
from tests.support.wait import until

SINCE = re.compile(r"since (\S+) the mailing list")
OWNER, ADMIN = "owner@customer.test", "hostmaster@provider.test"
BOB = {"sasl_username": "bob@a.test", "sender": "bob@a.test"}
DOMAINS: Yaml = {"domains": {"a.test": {"plan": "shared", "contact": OWNER}}}


@pytest.fixture
def sink() -> Iterator[Sink]:
    """Run the MTA that takes the notices."""
    made = Sink()
    made.start()
    yield made
    made.stop()


def notify(sink: Sink, **keys: object) -> Yaml:
    """Return the section for mail to the sink."""
    return {"from": "postmaster@provider.test", "smtp": f"127.0.0.1:{sink.port}", **keys}


def subjects(deliveries: list[Delivery]) -> list[str]:
    """Return the subjects of mails, without the references in them."""
    raw = [str(message_from_bytes(one.content)["Subject"]) for one in deliveries]
    return [str(make_header(decode_header(subject))).partition(" (ref")[0] for subject in raw]


def ask(daemon: Process, times: int) -> list[str]:
    """Have bob send mails, and return the codes."""
    with daemon.asker() as asker:
        return [asker.ask(**BOB).split()[0] for _ in range(times)]


def command(daemon: Process, *words: str) -> None:
    """Run a command that has to succeed."""
    done = policyd(*words, POLICYD_ADMIN=str(daemon.admin), POLICYD_CONFIG=str(daemon.path))
    assert done.returncode == 0, done.stderr


def test_a_customer_hears_of_each_thing_once(start: Start, redis_server: RedisServer, sink: Sink) -> None:
    """Near the limit, refused, suspended, resumed: one mail each, though two daemons see it; the sender is null."""
    sections = {"limits": {"domain-hourly": rate(10)}, "accounts": DOMAINS, "notify": notify(sink)}
    one, other = start(redis_server.url, **sections), start(redis_server.url, **sections)
    ask(one, 8)
    sink.wait("customer.test", 1)
    assert ask(other, 4) == ["DUNNO", "DUNNO", "550", "550"]
    assert ask(one, 2) == ["550", "550"]
    sink.wait("customer.test", 2)
    command(one, "suspend", "a.test", "--reason", "ticket 1")
    sink.wait("customer.test", 3)
    command(other, "resume", "a.test", "--reason", "clean")

    found = sink.wait("customer.test", 4)

    assert subjects(found) == [
        "a.test has used most of its mail limit",
        "Mail of a.test was refused",
        "Sending is suspended for a.test",
        "a.test can send mail again",
    ]
    assert {mail.sender for mail in found} == {"<>"}
    assert b"ticket 1" not in b"".join(one.content for one in found)
    assert one.metric("policyd_notices_sent_total", way="mail") >= 2


def test_the_admin_hears_of_what_the_section_names(start: Start, redis_server: RedisServer, sink: Sink) -> None:
    """With events for the admin only, the customer hears nothing."""
    traps = {"addresses": ["old@remote.test"]}
    told = notify(sink, admin=ADMIN, events=["trap"])
    daemon = start(redis_server.url, {"domain-hourly": rate(1)}, accounts=DOMAINS, notify=told, spam_traps=traps)
    with daemon.asker() as asker:
        asker.ask(**BOB, recipient="old@remote.test")
        asker.ask(**BOB)

    assert subjects(sink.wait("provider.test")) == ["policyd: trap bob@a.test"]
    assert sink.to("customer.test") == []


def test_mode_observe_tells_no_customer(start: Start, redis_server: RedisServer, sink: Sink) -> None:
    """What is let through is no news for him: a suspension after it is the first that he hears of."""
    limits = {"domain-hourly": rate(1)}
    daemon = start(redis_server.url, limits, accounts=DOMAINS, notify=notify(sink), mode="observe")
    assert ask(daemon, 3) == ["DUNNO"] * 3
    until(lambda: daemon.metric("policyd_account_usage_ratio", account="a.test", limit="domain-hourly") > 1, "counted")
    command(daemon, "suspend", "a.test", "--reason", "ticket 2")

    assert subjects(sink.wait("customer.test")) == ["Sending is suspended for a.test"]


def test_a_program_is_told_with_a_signature(
    start: Start, redis_server: RedisServer, sink: Sink, tmp_path: Path, ending: ExitStack
) -> None:
    """A webhook has the same events as JSON, signed with the secret."""
    hook, secret = Hook(), tmp_path / "webhook.key"
    write_secret(secret, "open sesame\n")
    hook.start()
    ending.callback(hook.stop)
    told = notify(sink, webhook={"url": hook.url, "secret_file": str(secret)}, events=["refusal"])
    daemon = start(redis_server.url, {"domain-hourly": rate(1)}, notify=told)
    ask(daemon, 2)
    until(lambda: hook.posted, "the program is told")
    posted = hook.posted[0]
    event = json.loads(posted.body)

    assert posted.signature == signature("open sesame", posted.body)
    assert (event["event"], event["account"], event["limit"]) == ("refusal", "a.test", "domain-hourly")
    assert event["ref"] in daemon.log


def test_an_mta_that_is_away_delays_no_decision(start: Start, redis_server: RedisServer, sink: Sink) -> None:
    """With nobody at the port, answers come as ever, and the notice waits."""
    told = notify(sink, smtp="127.0.0.1:1")
    daemon = start(redis_server.url, {"domain-hourly": rate(1)}, accounts=DOMAINS, notify=told)

    assert ask(daemon, 3) == ["DUNNO", "550", "550"]
    assert daemon.metric("policyd_notices_failed_total", way="mail") == 0


def test_a_mailbox_that_the_mta_refuses_is_given_up(start: Start, redis_server: RedisServer, sink: Sink) -> None:
    """A 5xx is for good, and shows in a metric and in the log."""
    sink.refuse = lambda _: "550 5.1.1 no such user"
    daemon = start(redis_server.url, {"domain-hourly": rate(1)}, accounts=DOMAINS, notify=notify(sink))
    ask(daemon, 2)

    until(lambda: daemon.metric("policyd_notices_failed_total", way="mail") > 0, "it is given up")
    assert daemon.said("a notice by mail was given up")


def test_a_mailing_that_waits_is_told_once_with_its_end(start: Start, redis_server: RedisServer, sink: Sink) -> None:
    """Of two daemons, for all its copies; who only claims to be the list is no news of it."""
    sections: dict[str, Yaml] = {
        "limits": {"list-size": {"kind": "size", "max": 3}},
        "lists": {
            "contexts": ["mailman"], "mailing_over": 0, "gives_up_after": "2d",
            "known": {"php@a.test": {"posting": "news@a.test", "size": 4}},
        },
        "accounts": DOMAINS,
        "notify": notify(sink, events=["mailing-waits"]),
    }  # fmt: skip
    one, other = (start(redis_server.url, **sections) for _ in range(2))
    software = {"sasl_username": "", "client_address": "127.0.0.1", "sender": "news-return-@a.test"}
    for daemon, context in ((one, ""), (one, "mailman"), (other, "mailman")):
        with daemon.asker() as asker:
            answers = [asker.ask(**software, policy_context=context) for _ in range(3)]
        assert all("450" in answer for answer in answers), answers

    told = sink.wait("customer.test")

    assert subjects(told) == ["A mailing of news@a.test waits"]
    text = " ".join(message_from_bytes(told[0].content, policy=SMTP).get_content().split())
    begun = datetime.fromisoformat(SINCE.findall(text)[0])
    assert f"gives up after {(begun + timedelta(days=2)).isoformat()}" in text
    until(lambda: _told(one).count("mailing-waits") == 1, "it stands in the trail of the account")


def _told(daemon: Process) -> list[str]:
    """Return the kinds of events in the trail of the account."""
    events = AdminClient(str(daemon.admin)).get("/v1/events", subject="a.test")["events"]
    return [event["event"] for event in events]
