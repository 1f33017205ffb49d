"""The rosters of a real Mailman 3, by its REST: policyd knows how large a list is without one mailing."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from policyd.conf.software import MailmanSettings
from policyd.mailman.rest import read_roster
from policyd.policy.roster import RosterList, Subscription
from tests.support.daemon import LocalDaemon, Serve, Yaml
from tests.support.mailman import Mailman
from tests.support.postfix import Postfix
from tests.support.secretfile import write_secret
from tests.support.sink import Sink
from tests.support.smtp import Login, post
from tests.support.wait import until

EVERY = 600_000
MINUTE = 60_000
MOST = 3

Ask = Callable[[], LocalDaemon]


@pytest.fixture
def secret(mailman: Mailman, tmp_path: Path) -> Path:
    """Return the file with the password of Mailman's REST."""
    write_secret(tmp_path / "mailman.password", f"{mailman.password}\n")
    return tmp_path / "mailman.password"


@pytest.fixture
def ask(mailman: Mailman, serve: Serve, secret: Path, domain: str) -> Ask:
    """Return what starts a policyd that reads the rosters; a list of the domain may have three members."""
    section: Yaml = {"url": mailman.url, "user": mailman.user, "password_file": str(secret)}
    limits: Yaml = {"list-size": {"kind": "size", "per": "list", "max": MOST}}

    def start() -> LocalDaemon:
        return serve([domain], limits, lists={"contexts": ["mailman"], "mailing_over": 1}, mailman=section)

    return start


def is_read(daemon: LocalDaemon, *, up: bool) -> bool:
    """Return whether the last try was one or the other."""
    return daemon.has_metric("policyd_roster_up") and daemon.metric("policyd_roster_up") == up


def test_lists_are_read_page_by_page(
    mailman: Mailman, secret: Path, domain: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two lists in a page, five lists; each with its members and with how people get in."""
    monkeypatch.setattr("policyd.mailman.rest.PAGE", 2)
    words = {"open": 0, "confirm": 1, "moderate": 2, "confirm_then_moderate": 3}
    for word, size in words.items():
        mailman.add_list(f"{word}@{domain}", [f"m{number}@remote.test" for number in range(size)])
        name = f"{word}.{domain}"
        mailman.ask(f"lists/{name}/config/subscription_policy", {"subscription_policy": word}, method="PUT")
    mailman.add_list(f"usual@{domain}", ["digest@remote.test", "away@remote.test"])
    for name, preference in {
        "away": {"delivery_status": "by_user"},
        "digest": {"delivery_mode": "summary_digests"},
    }.items():
        member = mailman.ask(f"lists/usual.{domain}/member/{name}@remote.test")["member_id"]
        mailman.ask(f"members/{member}/preferences", preference, method="PATCH")

    roster = asyncio.run(read_roster(MailmanSettings(mailman.url, mailman.user, str(secret))))

    found = {posting: one for posting, one in roster.items() if posting.endswith(f"@{domain}")}
    expected = {f"{word}@{domain}": RosterList(size, Subscription(word)) for word, size in words.items()}
    assert found == expected | {f"usual@{domain}": RosterList(2, Subscription.CONFIRM)}


def test_a_list_is_too_large_by_its_roster_until_somebody_leaves(
    mailman: Mailman, postfix: Postfix, sink: Sink, ask: Ask, domain: str
) -> None:
    """Who posts is told at the door, though nothing was mailed yet, and mails when it is small enough."""
    members = [f"m{number}@{domain}.sink.test" for number in range(MOST + 1)]
    mailman.add_list(f"news@{domain}", members)
    daemon = ask()
    until(lambda: is_read(daemon, up=True), "the rosters are read")

    mailman.deliver("lists", verp=False)
    port, alice = postfix.port("submission"), Login(f"alice@{domain}")
    refused = post(port, alice, f"news@{domain}").rcpt[0]
    assert refused.code == 550
    assert "has 4 addresses, 3 are allowed" in refused.text

    mailman.ask(f"lists/news.{domain}/member/{members[0]}", method="DELETE")
    read_at = daemon.metric("policyd_roster_read_timestamp_seconds")
    daemon.advance(EVERY)
    until(lambda: daemon.metric("policyd_roster_read_timestamp_seconds") > read_at, "the rosters are read again")
    assert post(port, alice, f"news@{domain}").queued == 1
    sink.wait(f"{domain}.sink.test", len(members) - 1)
    mailman.wait_idle()


def test_a_mailman_that_is_down_changes_nothing(
    mailman: Mailman, ask: Ask, domain: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What was read stands, which is logged once; it is asked each minute, and answers again when it runs."""
    mailman.add_list(f"news@{domain}", [f"m{number}@remote.test" for number in range(2)])
    daemon = ask()
    until(lambda: is_read(daemon, up=True), "the rosters are read")
    lists = daemon.metric("policyd_roster_lists")

    mailman.pause()
    try:
        daemon.advance(EVERY)
        until(lambda: is_read(daemon, up=False), "Mailman is down")
        for _ in range(3):
            daemon.advance(MINUTE)
        assert daemon.metric("policyd_roster_lists") == lists
    finally:
        mailman.start()
    daemon.advance(MINUTE)
    until(lambda: is_read(daemon, up=True), "the rosters are read again")
    logged = [one.getMessage() for one in caplog.records if one.name == "policyd.roster"]
    assert len([line for line in logged if line.startswith("the rosters cannot be read, and what was read")]) == 1


def test_a_wrong_password_is_corrected_without_a_restart(mailman: Mailman, secret: Path, ask: Ask) -> None:
    """The file is read anew each minute; no part of it is logged."""
    secret.write_text("something else\n")
    daemon = ask()
    until(lambda: is_read(daemon, up=False), "Mailman refuses the password")

    secret.write_text(mailman.password)
    daemon.advance(MINUTE)
    until(lambda: is_read(daemon, up=True), "the rosters are read")
