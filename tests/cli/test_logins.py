"""``policyd explain``, ``status`` and ``reset`` about logins, and ``init-key``."""

import grp
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.command import policyd
from tests.support.daemon import HOUR
from tests.support.dovecot_client import BOB
from tests.support.logindaemon import LoginDaemon
from tests.support.readme import blocks
from tests.support.redis import RedisServer


@pytest.fixture
def site(redis_server: RedisServer) -> Iterator[LoginDaemon]:
    """Run a daemon that lets a mailbox log in three times an hour."""
    made = LoginDaemon(redis_server.url)
    try:
        made.start()
        yield made
    finally:
        made.remove()


def test_explain_a_login_that_is_let_in(site: LoginDaemon) -> None:
    """The verdict first, then how much of each limit is used; nothing is charged."""
    site.login(2)
    for _ in range(3):
        code, output, _ = site.run("explain", "--login", "Bob@Example.org", "--protocol", "pop3")

    said, _, row = output.splitlines()
    assert (code, said) == (0, "bob@example.org (account example.org, plan shared): a login by pop3 is let in")
    assert row.split() == [BOB, "pop-checks", "#######...", "2/3", "in", "1h"]


def test_explain_a_lock(site: LoginDaemon) -> None:
    """A refused login is explained by the text that tell: true would send, with when it unlocks."""
    assert site.login(4) == [0, 0, 0, -1]
    site.advance(HOUR + 1000)  # nothing is used any more, and the lock holds
    code, output, _ = site.run("explain", "--login", BOB, "--json")
    answer = json.loads(output)

    assert (code, answer["action"]) == (0, "reject")
    assert "you can log in again at 2026-05-28T22:26:40+00:00; ref " in answer["why"]
    (gauge,) = answer["gauges"]
    assert (gauge["used"], gauge["resumes"]) == (0, "2026-05-28T22:26:40+00:00")


def test_explain_another_protocol(site: LoginDaemon) -> None:
    """What no limit looks at is let in."""
    site.login(4)

    assert site.run("explain", "--login", BOB, "--protocol", "imap") == (
        0, "bob@example.org (account example.org, plan shared): a login by imap is let in; no limit looks at it\n", "",
    )  # fmt: skip


def test_explain_a_client(site: LoginDaemon) -> None:
    """With --client its failures are looked at; where somebody logged in, they refuse nobody."""
    site.fail(2, remote="198.51.100.1")
    refused = json.loads(site.run("explain", "--login", BOB, "--client", "198.51.100.1", "--json")[1])
    site.login()
    site.fail(2)
    _, output, _ = site.run("explain", "--login", BOB, "--client", "192.0.2.7")

    assert (refused["action"], refused["known"]) == ("reject", False)
    assert refused["why"].startswith("Limit guesses: 2 of 2 failed-logins in 1h used; ")
    assert output.splitlines()[0].endswith("a login by pop3 is let in")
    assert "192.0.2.7 is known" in output


def test_explain_a_suspended_mailbox(site: LoginDaemon) -> None:
    """Whatever its limits say, it is refused, also by a protocol that no limit looks at."""
    assert site.run("suspend", f"mailbox:{BOB}", "--reason", "ticket 4711")[0] == 0
    for protocol in ("pop3", "imap"):
        assert site.login(protocol=protocol) == [-1]
        code, output, _ = site.run("explain", "--login", BOB, "--protocol", protocol)

        assert code == 0
        assert f"a login by {protocol} is refused; The mailbox is suspended; " in output


def test_explain_needs_a_protocol_that_there_is(site: LoginDaemon) -> None:
    """A slip is named."""
    assert site.run("explain", "--login", BOB, "--protocol", "pop") == (
        2, "", "policyd: 'pop' is no protocol (did you mean pop3?)\n",
    )  # fmt: skip


@pytest.mark.parametrize(("subject", "limit"), [(BOB, "pop-checks"), ("198.51.100.1", "guesses")])
def test_status_of_a_mailbox_and_of_a_client(site: LoginDaemon, subject: str, limit: str) -> None:
    """Checks used and when it unlocks; failures of an address."""
    site.login(4)
    site.fail(2, remote="198.51.100.1")
    heading, row, *_ = site.run("status", subject, TZ="UTC")[1].splitlines()

    assert row.split()[:4] == [subject, limit, "##########", "3/3" if subject == BOB else "2/2"]
    assert row.split()[-1] == ("22:26" if subject == BOB else "21:26")
    assert heading.split()[-2:] == ["opens", "again"]


def test_reset_unlocks(site: LoginDaemon) -> None:
    """The mailbox logs in at once, with all of its checks; the event says who did it and why."""
    site.login(5)
    code, output, _ = site.run("reset", BOB, "pop-checks", "--reason", "ticket 4711", SUDO_USER="carol")

    assert (code, output) == (0, f"{BOB}: pop-checks is empty again; 3 of 3 were used\n")
    assert site.login(4) == [0, 0, 0, -1]
    events = site.ask("/v1/events", subject=BOB)["events"]
    (reset,) = [event for event in events if event["event"] == "reset"]
    assert (reset["account"], reset["subject"], reset["limit"]) == ("example.org", BOB, "pop-checks")
    assert reset["who"].startswith("carol, as ")
    assert reset["who"].endswith(f"(uid {os.geteuid()})")
    assert reset["why"] == "3 of 3 used: ticket 4711"


def test_reset_begins_a_new_episode(site: LoginDaemon) -> None:
    """What comes after a reset has a reference of its own."""
    site.login(4)
    site.run("reset", BOB)
    site.advance(1)
    site.login(4)
    events = site.ask("/v1/events", subject=BOB)["events"]

    assert len({event["ref"] for event in events if event["event"] == "refusal"}) == 2


def test_reset_a_client(site: LoginDaemon) -> None:
    """An address is forgiven."""
    site.fail(2)
    assert site.login() == [-1]
    assert site.run("reset", "192.0.2.7")[1] == "192.0.2.7: guesses is empty again; 2 of 2 were used\n"
    assert site.login() == [0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((BOB, "pop-check"), f"policyd: no limit pop-check counts for {BOB} by itself (did you mean pop-checks?)\n"),
        (("example.org",), "policyd: no limit counts for example.org by itself (there is none)\n"),
        (("nobody.test",), "policyd: nobody.test is not hosted here (name a hosted domain, "),
    ],
)
def test_reset_what_is_not_there(site: LoginDaemon, words: tuple[str, ...], said: str) -> None:
    """A slip changes nothing and is named."""
    code, output, errors = site.run("reset", *words)

    assert (code, output) == (1, "")
    assert errors.startswith(said)


def test_explain_and_reset_of_a_name_that_may_be_mistyped(site: LoginDaemon) -> None:
    """Both say that nothing was counted for a mailbox, or that its domain is not hosted; a lock is something."""
    assert site.run("explain", "--login", "bbo@example.org")[2] == (
        "policyd: nothing was counted lately for bbo@example.org: is that the right name?\n"
    )
    assert site.run("reset", "bob@exmaple.org")[2] == (
        "policyd: exmaple.org is not hosted here: is bob@exmaple.org the right name?\n"
    )
    site.login(4)
    site.advance(HOUR + 1000)
    assert site.run("explain", "--login", BOB)[2] == ""
    assert site.run("reset", BOB)[2] == ""


# the key

Init = Callable[..., tuple[int, str, str]]


def init(*arguments: str) -> tuple[int, str, str]:
    """Run ``policyd init-key``."""
    done = policyd("init-key", *arguments)
    return done.returncode, done.stdout, done.stderr


def test_a_new_key(tmp_path: Path) -> None:
    """A file that others may not read, without a newline, and the lines that use it."""
    file = tmp_path / "dovecot.key"
    code, output, _ = init("--file", str(file))
    groups = {group.gr_name: group.gr_gid for group in grp.getgrall()}

    assert code == 0
    assert (file.stat().st_mode & 0o777, len(file.read_bytes())) == (0o640, 64)
    assert file.read_bytes().isalnum()
    assert file.stat().st_gid == groups.get("policyd", os.getegid())
    assert f"auth_policy_server_api_header = <{file}\n" in output
    assert f"  dovecot_key_file: {file}\n" in output
    assert file.read_text() not in output
    assert list(tmp_path.iterdir()) == [file]


def test_the_lines_are_those_of_the_readme(tmp_path: Path) -> None:
    """What init-key prints for Dovecot is what the README has, but for the file."""
    file = tmp_path / "dovecot.key"
    printed = init("--file", str(file))[1].replace(str(file), "/etc/policyd/dovecot.key").splitlines()
    recipe = [line for line in blocks("dovecot.conf policyd").splitlines() if not line.startswith("#")]
    mine = [line for line in printed if line.startswith("auth_policy_")]

    assert mine == recipe


def test_a_token_for_metrics(tmp_path: Path) -> None:
    """Its lines are of the listener and of Prometheus, none of Dovecot."""
    file = tmp_path / "metrics.token"
    code, output, _ = init("--metrics", "--file", str(file))

    assert (code, file.stat().st_mode & 0o777, len(file.read_bytes())) == (0, 0o640, 64)
    assert f"  metrics_token_file: {file}\n" in output
    assert f"install -m 0640 -g prometheus {file} /etc/prometheus/policyd.token\n" in output
    assert "dovecot" not in output


def test_a_key_is_not_overwritten(tmp_path: Path) -> None:
    """Only --force replaces it, by another one."""
    file = tmp_path / "dovecot.key"
    init("--file", str(file))
    first = file.read_text()

    assert init("--file", str(file)) == (1, "", f"policyd: {file} is there already (write --force to replace it)\n")
    assert file.read_text() == first
    assert init("--file", str(file), "--force")[0] == 0
    assert file.read_text() != first
    assert list(tmp_path.iterdir()) == [file]


def test_a_key_where_nothing_can_be_written(tmp_path: Path) -> None:
    """The error says why."""
    file = tmp_path / "none" / "dovecot.key"

    assert init("--file", str(file)) == (1, "", f"policyd: {file}: No such file or directory\n")
