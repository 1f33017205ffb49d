"""``policyd replay``: what limits would have done to the mail of a log."""

import json
import os
import pty
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.replay.logged import Written
from tests.support.command import PROGRAM, policyd
from tests.support.daemon import Yaml, rate, settings


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Return a log: alice sends 5 messages, bob 1, someone outside 1; one line of it is none."""
    messages = [Written(f"A{number}", after=number) for number in range(5)]
    messages += [Written("B", login="bob@example.net", after=7), Written("C", login="", after=8)]
    path = tmp_path / "mail.log"
    path.write_text("".join(f"{line}\n" for one in messages for line in one.lines()) + "-- MARK --\n")
    return path


def configuration(path: Path, most: int | str, **sections: str) -> str:
    """Write a configuration with one limit and return its path."""
    limits: Yaml = {"domain-hourly": rate(most)}
    made = settings(path.parent / "policy", "embedded", ["example.org", "example.net"], limits)
    path.write_text(yaml.safe_dump({**made, **sections}))
    return str(path)


def test_what_it_tells(log: Path, tmp_path: Path) -> None:
    """What was read, how full the limits were, and who would have been refused, in 80 columns without escape codes."""
    done = policyd("replay", str(log), "--config", configuration(tmp_path / "new", 3, mode="observe"), TZ="UTC")

    assert (done.returncode, done.stderr) == (0, "")
    assert [line.rstrip() for line in done.stdout.splitlines()] == [
        "36 lines of 1 file, 2026-11-23 10:00 to 2026-11-23 10:00",
        "7 messages to 7 recipients (6 user, 1 inbound)",
        "left out: 1 lines that are no log",
        "",
        "How much was asked in one window, at most",
        "limit          plan    max      subjects  half  90 %  99 %  most  over",
        "domain-hourly  shared  3 in 1h         2     1     5     5     5     1",
        "",
        "Who would have been refused",
        "subject      limit          asked/max  refused  times  first",
        "example.org  domain-hourly        5/3        2      1  2026-11-23 10:00",
    ]


def test_what_is_not_replayed(log: Path, tmp_path: Path) -> None:
    """Limits that no log tells enough of are named, for programs too, and nothing is promised of them."""
    path = configuration(tmp_path / "new", 3)
    made = yaml.safe_load(Path(path).read_text())
    pace = {"kind": "pace", "per": "domain", "every": "6s", "by": "answer", "delay_up_to": "12s"}
    checks = rate(60, counts="logins", per="mailbox", protocols=["pop3"])
    del checks["over"]
    made["limits"] |= {"list-pace": pace, "pop-checks": checks}
    Path(path).write_text(yaml.safe_dump(made))
    lines = policyd("replay", str(log), "--config", path).stdout.splitlines()

    assert lines[3].startswith("not replayed: list-pace, pop-checks (")
    answer = json.loads(policyd("replay", str(log), "--config", path, "--json").stdout)
    assert answer["not_replayed"] == ["list-pace", "pop-checks"]


def test_against(log: Path, tmp_path: Path) -> None:
    """With --against each counter is shown that refuses more or less than under the other configuration."""
    old, new = configuration(tmp_path / "old", 2), configuration(tmp_path / "new", "unlimited")
    output = policyd("replay", str(log), "--config", new, "--against", old).stdout.splitlines()
    same = policyd("replay", str(log), "--config", old, "--against", old).stdout.splitlines()

    assert output[-1].split() == ["example.org", "domain-hourly", "2", "->", "-", "3", "->", "0"]
    assert same[-1] == "the same is refused under both configurations"


def test_json(log: Path, tmp_path: Path) -> None:
    """--json tells all of it."""
    config = configuration(tmp_path / "new", 3)
    answer = json.loads(policyd("replay", str(log), "--config", config, "--against", config, "--json").stdout)

    assert answer["log"]["first"] == "2026-11-23T10:00:00+00:00"
    assert answer["recipients"] == {"user": 6, "inbound": 1}
    assert answer["limits"][0]["most"] == 5
    assert answer["refused"][0]["stretches"] == [
        {"first": "2026-11-23T10:00:03+00:00", "last": "2026-11-23T10:00:04+00:00", "refused": 2}
    ]
    assert answer["changes"] == []


def test_nobody(log: Path, tmp_path: Path) -> None:
    """When all fits, that is said; so is a log of somebody else's host."""
    config = configuration(tmp_path / "new", 400)
    fits = policyd("replay", str(log), "--config", config).stdout
    log.write_text("Nov 23 10:00:00 mx dovecot: imap-login: Login: user=<x>\n")
    foreign = policyd("replay", str(log), "--config", config).stdout

    assert fits.endswith("\nnobody would have been refused\n")
    assert foreign.endswith("is this the log of the host whose domains the configuration names?\n")


def test_the_longest(tmp_path: Path, log: Path) -> None:
    """--top bounds how many are shown."""
    config = configuration(tmp_path / "new", 0)
    output = policyd("replay", str(log), "--config", config, "--top", "1").stdout

    assert output.endswith("and 1 more (--top)\n")


def test_what_cannot_be_read(tmp_path: Path) -> None:
    """A missing log is a problem that is named."""
    done = policyd("replay", str(tmp_path / "x"), "--config", configuration(tmp_path / "new", 3))

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"policyd: {tmp_path / 'x'}: No such file or directory\n"


def test_progress_is_for_a_terminal(log: Path, tmp_path: Path) -> None:
    """On a terminal a bar is drawn on stderr."""
    ours, theirs = pty.openpty()
    command = [PROGRAM, "replay", str(log), "--config", configuration(tmp_path / "new", 3)]
    env = {"PATH": os.environ["PATH"], "TERM": "xterm"}
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=theirs, check=True, timeout=60, text=True)
    os.close(theirs)
    with os.fdopen(ours, "rb") as terminal:
        drawn = terminal.read1(65_536).decode()

    assert "reading" in drawn
    assert "reading" not in done.stdout
