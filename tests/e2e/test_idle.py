"""Who fetches mail, through a real Dovecot: its logins, its list of users, and the commands for its doveadm."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import policyd
from tests.support.loginsite import BOB, IN, REFUSED, LoginSite
from tests.support.redis import RedisServer
from tests.support.wait import until

DAY = 86_400_000
ALICE, EVE = "alice@example.org", "eve@example.org"


@pytest.fixture
def site(redis_server: RedisServer) -> Iterator[LoginSite]:
    """Run a policyd and a Dovecot with three mailboxes."""
    made = LoginSite(redis_server.url, {}, users=[ALICE, BOB, EVE])
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture
def path(site: LoginSite, tmp_path: Path) -> str:
    """Return a PATH on which doveadm is that of the test's Dovecot."""
    doveadm = tmp_path / "doveadm"
    doveadm.write_text(f'#!/bin/sh\nexec /usr/bin/doveadm -c {site.dovecot.configuration} "$@"\n')
    doveadm.chmod(0o755)
    return f"{tmp_path}:/usr/bin:/bin"


def idle(site: LoginSite, path: str, *words: str) -> list[str]:
    """Return the lines that the command prints for 40 days."""
    done = policyd("mailboxes", "--idle", "40d", *words, POLICYD_ADMIN=str(site.daemon.admin), PATH=path)
    return (done.stdout or done.stderr).splitlines()


def next_day(site: LoginSite) -> None:
    """Let a day pass on which ALICE fetches her mail."""
    site.daemon.advance(DAY)
    assert site.imap(ALICE).startswith("a OK")


def test_mailboxes_that_nobody_fetches_from_are_listed(site: LoginSite, path: str) -> None:
    """After 40 days in which others logged in, those who did not are listed; the commands keep newer mail."""
    assert (site.pop3(BOB), site.dovecot.pop3(EVE, "wrong")) == ([IN], REFUSED)
    assert idle(site, path)[0] == "0 of 3 mailboxes idle for 40 days"
    for _ in range(39):
        next_day(site)
    assert idle(site, path)[0] == "0 of 3 mailboxes idle for 40 days"

    def are_two() -> bool:
        next_day(site)  # Dovecot reports a login when the client is in already, so it may be one of the day after
        return idle(site, path)[-1] == "2 of 3 mailboxes idle for 40 days"

    until(are_two, "40 days have passed")

    assert sorted(line.split()[0] for line in idle(site, path)[1:3]) == [BOB, EVE]
    site.dovecot.fill(BOB, 1000)
    commands = idle(site, path, "--as", "doveadm")
    assert [line for line in commands if not line.startswith("#")] == [
        f"doveadm expunge -u {name} mailbox INBOX savedbefore 40d" for name in (BOB, EVE)
    ]
    subprocess.run(["sh", "-e"], input="\n".join(commands), text=True, check=True, env={"PATH": path}, timeout=60)
    assert site.dovecot.messages(BOB) == 1
