"""``policyd mailboxes``: from which mailboxes nobody fetches mail."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from policyd.cli.client import AdminClient, RefusedError
from tests.cli.conftest import Serve, Site
from tests.support.ports import free_port
from tests.support.wait import until

DAY = 86_400_000
KEY = "0123456789abcdef"
ALICE, BOB, EVE = (f"{name}@example.org" for name in ("alice", "bob", "eve"))


class MailSite(Site):
    """A Site that hears of logins."""

    dovecot = 0

    def log_in(self, login: str, protocol: str = "pop3") -> None:
        """Tell it of a login that succeeded, as Dovecot does."""
        body = {"login": login, "protocol": protocol, "remote": "192.0.2.1", "success": True, "policy_reject": False}
        connection = HTTPConnection("127.0.0.1", self.dovecot, timeout=20)
        connection.request("POST", "/dovecot?command=report", json.dumps(body), {"X-API-Key": KEY})
        assert connection.getresponse().status == 200
        connection.close()

    def idle(self, *words: str) -> str:
        """Return what the command says of 40 days."""
        status, said, errors = self.run("mailboxes", "--idle", "40d", *words)
        assert (status, errors) == (0, "")
        return said

    def rows(self, users: Path) -> dict[str, dict[str, Any]]:
        """Return what is known of each mailbox of a file."""
        found = json.loads(self.idle("--users", str(users), "--json"))["mailboxes"]
        return {row.pop("mailbox"): row for row in found}

    def unwatched(self, days: int) -> str:
        """Return what the command says while not all of the 40 days were watched."""
        return f"policyd saw logins on {days} of the last 40 days; days without any do not count"

    def day(self, ago: int = 0) -> str:
        """Return a day by the clock of the daemon."""
        now = datetime.fromtimestamp(self.clock.now() / 1000, UTC)
        return (now - timedelta(days=ago)).date().isoformat()


@pytest.fixture
def site(serve: Serve, tmp_path: Path) -> MailSite:
    """Run a Site with a listener for Dovecot."""
    (tmp_path / "key").write_text(KEY)
    (tmp_path / "key").chmod(0o600)
    port = free_port()
    made = serve(listen={"dovecot": f"127.0.0.1:{port}", "dovecot_key_file": str(tmp_path / "key")})
    made.__class__ = MailSite
    assert isinstance(made, MailSite)
    made.dovecot = port
    return made


@pytest.fixture
def users(tmp_path: Path) -> Callable[[str], Path]:
    """Return what writes a list of users."""

    def write(text: str) -> Path:
        (tmp_path / "users").write_text(text)
        return tmp_path / "users"

    return write


Users = Callable[[str], Path]


def test_a_fresh_redis_finds_nobody_idle(site: MailSite, users: Users) -> None:
    """Mailboxes that policyd never saw are not idle, not even old ones, and the command says why."""
    listed = users(f"{BOB}\n{EVE} 2020-01-01\n")

    assert site.idle("--users", str(listed)) == (f"0 of 2 mailboxes idle for 40 days\n{site.unwatched(0)}\n")


def test_forty_watched_days_without_a_login_are_idle(site: MailSite, users: Users) -> None:
    """While others log in each day, who does not is idle after 40 whole days; names are normalised."""
    listed = users(f"Bob@Example.ORG\n{ALICE}\n{EVE} {site.day(100)}\n")
    site.log_in(BOB)
    site.rows(listed)
    first = site.day()
    for _ in range(41):
        site.advance(DAY)
        site.log_in(ALICE, "imap")
    until(lambda: site.rows(listed)[ALICE]["last_login"] == site.day(), "the last login is written")

    found = site.rows(listed)

    bob = {"idle": True, "days": 40, "since": first, "last_login": first, "pop3": first, "imap": None}
    today = site.day()
    alice = {"idle": False, "days": 0, "since": today, "last_login": today, "pop3": None, "imap": today}
    eve = {"idle": True, "days": 41, "since": site.day(141), "last_login": None, "pop3": None, "imap": None}
    assert found == {"Bob@Example.ORG": bob, ALICE: alice, EVE: eve}
    said = site.idle("--users", str(listed)).splitlines()
    assert said[0].split() == ["mailbox", "last", "login", "known", "for"]
    assert said[1].split() == [EVE, "never", "41", "days"]
    assert said[2].split() == ["Bob@Example.ORG", first, "40", "days"]
    assert said[3:] == ["", "2 of 3 mailboxes idle for 40 days"]


def test_what_dovecot_knows_is_believed(site: MailSite, users: Users) -> None:
    """With creation and last login in the file, nothing need have been watched."""
    listed = users(f"{BOB} - {site.day(41)}\n{EVE} {site.day(41)} never  # an office\n{ALICE} - {site.day(40)}\n\n")

    found = site.rows(listed)

    assert [(name, row["idle"]) for name, row in found.items()] == [(BOB, True), (EVE, True), (ALICE, False)]


def test_doveadm_commands_are_printed(site: MailSite, users: Users) -> None:
    """``--as doveadm`` prints what would delete mail, quoted for a shell; names that it could misread are left out."""
    names = (BOB, "o'hara@example.org", "*@example.org", "a\x1bb@example.org", ALICE)
    listed = users("\n".join(f"{name} - {site.day(1 if name == ALICE else 50)}" for name in names))

    lines = site.idle("--users", str(listed), "--as", "doveadm").splitlines()

    assert lines == [
        "# 4 of 5 mailboxes idle for 40 days; with search in the place of expunge, doveadm shows what would go",
        "# left out, since doveadm would take it for others' or none: *@example.org",
        "# left out, since doveadm would take it for others' or none: a\\x1bb@example.org",
        f"# {BOB}: last login {site.day(50)}",
        f"doveadm expunge -u {BOB} mailbox INBOX savedbefore 40d",
        f"# o'hara@example.org: last login {site.day(50)}",
        "doveadm expunge -u 'o'\"'\"'hara@example.org' mailbox INBOX savedbefore 40d",
    ]


@pytest.mark.parametrize(("last", "mailed"), [(50, True), (3, False)])
def test_the_report_is_mailed(site: MailSite, users: Users, tmp_path: Path, last: int, mailed: bool) -> None:
    """``--mail`` hands the report to sendmail(1) when a mailbox is idle, and prints nothing."""
    sendmail, listed = tmp_path / "sendmail", users(f"{BOB} - {site.day(last)}")
    sendmail.write_text(f'#!/bin/sh\n{{ echo "$@"; cat; }} > {tmp_path}/sent\n')
    sendmail.chmod(0o755)
    words = ("mailboxes", "--idle", "40d", "--users", str(listed), "--mail", "postmaster")

    assert site.run(*words, PATH=f"{tmp_path}:/usr/bin:/bin") == (0, "", "")

    assert (tmp_path / "sent").exists() is mailed
    if mailed:
        lines = (tmp_path / "sent").read_text().splitlines()
        assert lines[:5] == [
            "-i -- postmaster",
            "To: postmaster",
            "Subject: 1 of 1 mailboxes idle for 40 days",
            "Auto-Submitted: auto-generated",
            "",
        ]
        assert lines[6].split()[:2] == [BOB, site.day(50)]


def test_more_mailboxes_than_one_question_may_have(site: MailSite, users: Users) -> None:
    """A long list is asked about in parts."""
    found = site.rows(users("\n".join(f"u{number}@example.org - {site.day(50)}" for number in range(1001))))

    assert len(found) == 1001
    assert all(row["idle"] for row in found.values())


def test_a_list_of_strangers_is_a_mistake(site: MailSite, tmp_path: Path) -> None:
    """When Dovecot lists nobody whom policyd saw log in, the names differ, and all would seem idle."""
    site.log_in(BOB)
    site.advance(DAY)
    site.log_in(BOB)
    doveadm = tmp_path / "doveadm"
    doveadm.write_text('#!/bin/sh\n[ "$*" = "user *" ] && printf "bob\\nbob@example.com\\n"\n')
    doveadm.chmod(0o755)
    path = f"{tmp_path}:/usr/bin:/bin"
    words = ("mailboxes", "--idle", "40d")
    until(lambda: site.run(*words, PATH=path)[0], "the logins are written")

    status, said, errors = site.run(*words, PATH=path)

    assert (status, said) == (1, "")
    assert errors.startswith("policyd: doveadm user '*': policyd saw logins, but of none of these")
    doveadm.write_text("#!/bin/sh\nprintf 'bob@example.org\\n\\377@example.org\\n'\n")
    assert site.run(*words, PATH=path)[:2] == (0, f"0 of 2 mailboxes idle for 40 days\n{site.unwatched(1)}\n")


def test_mistakes_of_the_file_are_named(site: MailSite, users: Users) -> None:
    """All lines that cannot be read are shown at once, with what to write."""
    listed = users(f"{BOB} yesterday\n{EVE}\n{ALICE} - - -\n")
    cure = '(write "mailbox", "mailbox created" or "mailbox created last-login"; dates as 2026-11-23, - for unknown)'

    assert site.run("mailboxes", "--idle", "40d", "--users", str(listed)) == (
        1,
        "",
        f"{listed}:1:1: yesterday is no date {cure}\n{listed}:3:1: 4 words in one line {cure}\n",
    )


def test_a_file_that_is_not_there_is_an_error(site: MailSite) -> None:
    """The file is named."""
    status, said, errors = site.run("mailboxes", "--idle", "40d", "--users", "/nosuch")

    assert (status, said) == (1, "")
    assert errors == "policyd: the list of users: [Errno 2] No such file or directory: '/nosuch'\n"


@pytest.mark.parametrize("days", ["40", "0d", "366d", "36h", "soon"])
def test_days_are_whole_days(site: MailSite, days: str) -> None:
    """Another duration is a mistake of usage."""
    status, _, errors = site.run("mailboxes", "--idle", days)

    assert status == 2
    assert f"{days} is no number of days from 1d to 365d" in " ".join(errors.replace("│", " ").split())


@pytest.mark.parametrize("names", [None, BOB, ["x"] * 1001, [""], ["\ud800"], [1]])
def test_another_question_is_refused(site: MailSite, names: Any) -> None:
    """Panels that ask for what is no list of names hear so."""
    with pytest.raises(RefusedError, match="mailboxes is no list of up to 1000 names"):
        AdminClient(str(site.admin)).post("/v1/mailboxes", mailboxes=names)
