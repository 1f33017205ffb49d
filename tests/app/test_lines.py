"""The log of decisions: which requests have a line, and what is in it."""

import re

import pytest

from tests.app.conftest import Start
from tests.support.asker import Asker, new_instance
from tests.support.daemon import rate
from tests.support.process import Process
from tests.support.redis import RedisServer
from tests.support.wait import until

ALICE = {"sasl_username": "alice@a.test", "sender": "alice@a.test"}
INBOUND = {"client_address": "192.0.2.9", "sasl_username": "", "sender": "x@remote.test", "recipient": "alice@a.test"}
NAMES = [
    *("action", "limit", "used", "account", "sure", "traffic", "list", "queue_id", "sasl", "client"),
    *("sender", "recipient", "resumes", "ref", "ms"),
]


def mail(asker: Asker, recipients: int, **attributes: str) -> list[str]:
    """Send a message as Postfix does, and return the answers to its recipients."""
    message = {"instance": new_instance(), "queue_id": "", **attributes}
    answers = []
    for number in range(recipients):
        answers.append(asker.ask(**{"recipient": f"r{number}@remote.test", **message}))
        message["queue_id"] = "6C47A216073"
    accepted = answers.count("DUNNO")
    if accepted:
        last = {**message, "recipient": "", "recipient_count": str(accepted)}
        assert asker.ask(**last, protocol_state="DATA") == asker.ask(**last, protocol_state="END-OF-MESSAGE") == "DUNNO"
    return answers


def decided(daemon: Process) -> list[dict[str, str]]:
    """Return the lines of decisions."""
    return [line for line in daemon.lines() if "action" in line]


@pytest.fixture
def daemon(start: Start, redis_server: RedisServer) -> Process:
    """Run a daemon that lets three recipients through."""
    return start(redis_server.url, limits={"domain-hourly": rate(3)})


def test_a_refusal(daemon: Process) -> None:
    """A refused recipient has one line, whose reference is the one that the sender was told."""
    with daemon.asker() as asker:
        answers = mail(asker, 4, **ALICE)
    until(lambda: len(decided(daemon)) == 2, "two lines")
    (line,) = daemon.lines(action="reject")

    assert list(line) == NAMES
    assert answers[:3] == ["DUNNO"] * 3
    told = re.fullmatch(
        r"550 5\.7\.1 Limit domain-hourly: .* mail flows again at (\S+); ref ([0-9A-Z]{10})", answers[3]
    )
    assert told is not None
    assert (line["resumes"], line["ref"]) == told.groups()
    assert line | {"resumes": "", "ref": "", "ms": ""} == {
        **dict.fromkeys(NAMES, ""), "action": "reject", "limit": "domain-hourly", "used": "3/3", "account": "a.test",
        "sure": "verified", "traffic": "user", "queue_id": "6C47A216073", "sasl": "alice@a.test",
        "client": "192.0.2.17", "sender": "alice@a.test", "recipient": "r3@remote.test",
    }  # fmt: skip


def test_a_settled_message(daemon: Process) -> None:
    """A completed message has one line with its recipients and what its domain has used."""
    with daemon.asker() as asker:
        mail(asker, 2, **ALICE)
    (line,) = until(lambda: decided(daemon), "a line")

    assert list(line) == [*NAMES, "recipients"]
    assert (line["action"], line["used"], line["recipients"]) == ("settle", "2/3", "2")


def test_inbound_mail(start: Start, redis_server: RedisServer) -> None:
    """Mail from outside has no line, not even with log.accepted."""
    daemon = start(redis_server.url, log={"accepted": True})
    with daemon.asker() as asker:
        mail(asker, 3, **INBOUND)
        mail(asker, 1, **ALICE)
    until(lambda: len(decided(daemon)) >= 2, "the lines of the other message")

    assert {line["account"] for line in decided(daemon)} == {"a.test"}


def test_accepted(start: Start, redis_server: RedisServer) -> None:
    """With log.accepted every decision has one line."""
    daemon = start(redis_server.url, limits={"domain-hourly": rate(3)}, log={"accepted": True})
    with daemon.asker() as asker:
        mail(asker, 4, **ALICE)
    until(lambda: len(decided(daemon)) == 5, "five lines")

    assert [(line["action"], line["used"]) for line in decided(daemon)] == [
        ("accept", "1/3"), ("accept", "2/3"), ("accept", "3/3"), ("reject", "3/3"), ("settle", "3/3"),
    ]  # fmt: skip


def test_strange_bytes(daemon: Process) -> None:
    """Whatever bytes a login has, it is answered, logged as one value, and nothing else fails."""
    login = '\udcff\x1b[31m="x" [/b]@a.test'
    with daemon.asker() as asker:
        answers = mail(asker, 4, sasl_username=login, sender=login)
    until(lambda: len(decided(daemon)) == 2, "two lines")

    assert [answer[:5] for answer in answers] == [*["DUNNO"] * 3, "550 5"]
    assert {line["sasl"] for line in decided(daemon)} == {login}
    assert daemon.lines(level="bug") == []


def test_malformed(daemon: Process) -> None:
    """Who breaks the protocol is counted and warned about once in a while, and others are not troubled."""
    with daemon.asker() as other:
        for _ in range(3):
            with daemon.asker() as asker:
                asker.write(b"no equals sign\n\n")
                assert asker.is_closed()
        assert other.ask(**ALICE) == "DUNNO"

    assert daemon.metric("policyd_protocol_errors_total") == 3
    assert len(daemon.lines(level="warn")) == 1
