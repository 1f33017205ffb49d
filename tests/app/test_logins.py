"""What a daemon keeps of logins: lines, metrics, events."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from policyd.login_recorder import RefusedMailboxes
from tests.support import logfmt
from tests.support.daemon import HOUR
from tests.support.dovecot_client import BOB
from tests.support.logindaemon import LoginDaemon
from tests.support.redis import RedisServer
from tests.support.wait import until

NAMES = [
    *("action", "limit", "used", "account", "traffic", "mailbox", "protocol", "client", "resumes", "ref", "ms"),
]
Serve = Callable[..., LoginDaemon]


@pytest.fixture
def serve(redis_server: RedisServer) -> Iterator[Serve]:
    """Return what starts a daemon that lets a mailbox log in three times an hour."""
    with ExitStack() as running:

        def start(**sections: Any) -> LoginDaemon:
            site = LoginDaemon(redis_server.url, **sections)
            running.callback(site.remove)
            site.start()
            return site

        yield start


def lines(site: LoginDaemon, capfd: pytest.CaptureFixture[str]) -> list[dict[str, str]]:
    """Return the lines of decisions, after the daemon has ended."""
    site.stop()
    return [logfmt.parse(line) for line in capfd.readouterr().err.splitlines() if line.startswith("action=")]


def test_a_refusal(serve: Serve, capfd: pytest.CaptureFixture[str]) -> None:
    """A refused login has one line, which names the mailbox, the client and when it opens."""
    site = serve()
    site.login(4)
    (line,) = lines(site, capfd)

    assert list(line) == NAMES
    assert len(line["ref"]) == 10
    assert line | {"ref": "", "ms": ""} == {
        "action": "reject", "limit": "pop-checks", "used": "3/3", "account": "example.org", "traffic": "login",
        "mailbox": BOB, "protocol": "pop3", "client": "192.0.2.7", "resumes": "2026-05-28T22:26:40+00:00",
        "ref": "", "ms": "",
    }  # fmt: skip


def test_accepted_logins(serve: Serve, capfd: pytest.CaptureFixture[str]) -> None:
    """With log.accepted each login has a line, also one that no limit looks at."""
    site = serve(log={"accepted": True})
    site.login(2)
    site.login(protocol="imap")

    assert [(line["action"], line["used"], line["protocol"]) for line in lines(site, capfd)] == [
        ("accept", "1/3", "pop3"), ("accept", "2/3", "pop3"), ("accept", "", "imap"),
    ]  # fmt: skip


def test_a_client_that_guesses(serve: Serve, capfd: pytest.CaptureFixture[str]) -> None:
    """The first failure over the limit has a line, and each login that is refused for it."""
    site = serve()
    site.fail(5)
    site.login(2)

    assert [(line["limit"], line["account"], line["mailbox"]) for line in lines(site, capfd)] == [
        ("guesses", "client:192.0.2.7", BOB)
    ] * 3


def would(site: LoginDaemon) -> list[str]:
    """Return the limits that would have refused somebody."""
    return sorted(gauge["limit"] for gauge in site.ask("/v1/status", would_refuse=1)["gauges"])


def test_observed_logins(serve: Serve, capfd: pytest.CaptureFixture[str]) -> None:
    """In mode observe the line says what would have been answered; status knows whom it would have hit."""
    site = serve(mode="observe")
    site.fail(3)
    assert site.login(4) == [0] * 4
    until(lambda: would(site) == ["guesses", "pop-checks"], "the index is written")
    found = lines(site, capfd)

    assert [(line["action"], line["limit"], line["observed"]) for line in found] == [
        ("accept", "guesses", "reject"), ("accept", "pop-checks", "reject"),
    ]  # fmt: skip


def test_metrics(serve: Serve) -> None:
    """Answers and refusals of logins are counted apart from those of mail; connections of Dovecot, too."""
    site = serve()
    site.login(5)
    site.fail(3, remote="198.51.100.1")
    site.login(remote="198.51.100.1", login="alice@example.org")
    answers = [
        site.metric("policyd_requests_total", service="dovecot", traffic="login", action=action)
        for action in ("accept", "reject")
    ]

    assert answers == [3, 3]
    assert site.metric("policyd_refusals_total", limit="pop-checks", plan="shared", traffic="login") == 2
    assert site.metric("policyd_refusals_total", limit="guesses", plan="", traffic="login") == 1
    assert site.metric("policyd_connections", service="postfix") == 0
    until(lambda: site.metric("policyd_connections", service="dovecot") == 0, "closed connections are not counted")


def test_mailboxes_refused_to_one_client(serve: Serve) -> None:
    """The gauge has the client that found most mailboxes refused in the last hour, and fades."""
    site = serve()
    for name in ("bob", "carl", "dora"):
        site.login(5, login=f"{name}@example.org")
    site.login(4, login="emil@example.org", remote="198.51.100.1")
    assert site.metric("policyd_mailboxes_refused_to_one_client") == 3
    site.advance(HOUR)

    assert site.metric("policyd_mailboxes_refused_to_one_client") == 0


def test_many_refusals_take_bounded_memory() -> None:
    """Of more than there is room for the oldest are forgotten."""
    seen = RefusedMailboxes(lambda: 1_000 * HOUR, room=10)
    for number in range(100):
        seen.note("192.0.2.7", f"box{number}")
        seen.note("192.0.2.7", "again and again")

    assert seen.most() == 10


def test_a_new_key_after_a_reload(serve: Serve) -> None:
    """A reload reads the key again."""
    site = serve()
    (site.base / "dovecot.key").write_text("another-secret-of-16")
    assert site.login() == [0]
    site.run("reload")

    assert site.post("allow") == (403, b"Forbidden\n")
