"""``policyd status``: usage against limits, as bars."""

import json
import os
import pty
import re
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from tests.cli.conftest import Serve, Site
from tests.support.command import PROGRAM
from tests.support.daemon import rate
from tests.support.redis import RedisServer
from tests.support.wait import until

LONG = "a-domain-with-a-name-that-is-longer-than-most.of-the-others.example.net"


def rows(output: str) -> list[list[str]]:
    """Return the words of each row, without the lines that only go on with a long name."""
    return [line.split() for line in output.splitlines() if " in 1h" in line]


def test_nothing_used(site: Site) -> None:
    """A fresh daemon says that nothing is used."""
    assert site.run("status") == (0, "nothing is used of any limit\n", "")
    assert site.run("status", "--would-refuse") == (0, "nothing would have been refused\n", "")


def test_the_fullest(site: Site) -> None:
    """Without a subject the fullest counters are shown, fullest first, so many as are asked for."""
    site.send("alice@example.org", 1)
    site.send("bob@example.org", 2)
    site.send("", 1, client_address="127.0.0.1", sender="x@elsewhere.test")
    shown = until(lambda: at_least(site, 4), "status shows them all")

    assert [row[:2] for row in shown or []] == [
        ["bob@example.org", "user-hourly"],
        ["example.org", "domain-hourly"],
        ["alice@example.org", "user-hourly"],
        ["(unlisted)", "unlisted-hourly"],
    ]
    assert len(rows(site.run("status", "--top", "2")[1])) == 2


def at_least(site: Site, count: int) -> list[list[str]] | None:
    """Return the rows of ``policyd status``, None while they are fewer."""
    found = rows(site.run("status")[1])
    return found if len(found) >= count else None


@pytest.mark.parametrize("subject", ["example.org", "Example.ORG.", "news.example.org"])
def test_a_domain(site: Site, subject: str) -> None:
    """A domain in any spelling, and an alias, show what its account has used, and when a full limit flows again."""
    site.send("alice@example.org", 2)
    site.send("bob@example.org", 2)
    code, output, _ = site.run("status", subject, TZ="UTC")

    assert code == 0
    heading, row, *_ = output.splitlines()
    assert heading.split() == ["subject", "limit", "used", "flows", "again"]
    assert re.fullmatch(r"example\.org +domain-hourly +#{10} +4/4 in 1h +2026-05-28 21:2\d *", row), row


def test_a_login(site: Site) -> None:
    """A login shows its own limits and, since they refuse it too, those of its domain."""
    site.send("alice@example.org", 1)

    assert rows(site.run("status", "Alice@Example.org")[1]) == [
        ["alice@example.org", "user-hourly", "#####.....", "1/2", "in", "1h"],
        ["example.org", "domain-hourly", "##........", "1/4", "in", "1h"],
    ]


def test_unlisted(site: Site) -> None:
    """(unlisted) is what local senders without a customer share."""
    site.send("", 3, client_address="127.0.0.1", sender="x@elsewhere.test")

    assert rows(site.run("status", "(unlisted)")[1]) == [
        ["(unlisted)", "unlisted-hourly", "###.......", "3/10", "in", "1h"]
    ]


def test_a_unix_user(serve: Serve, tmp_path: Path) -> None:
    """A login without a domain is found by its name, where the map of local users has it."""
    users = tmp_path / "users.map"
    users.write_text("carol example.org\n")
    site = serve(accounts={"local_users": f"file:{users}"})
    site.send("carol", 1)

    assert rows(site.run("status", "carol")[1]) == [
        ["carol@example.org", "user-hourly", "#####.....", "1/2", "in", "1h"],
        ["example.org", "domain-hourly", "##........", "1/4", "in", "1h"],
    ]


def test_unknown(site: Site) -> None:
    """An unknown subject is a problem, and the message says what can be named."""
    code, output, errors = site.run("status", "nowhere.test")

    assert (code, output) == (1, "")
    cure = "name a hosted domain, a login as user@example.org, user:NAME for one without a domain, or (unlisted)"
    assert errors == f"policyd: nowhere.test is not hosted here ({cure})\n"


def test_json(site: Site) -> None:
    """--json has every gauge with its plan, its maximum and where that was written."""
    site.send("alice@example.org", 1)
    code, output, _ = site.run("status", "example.org", "--json")
    answer = json.loads(output)

    assert (code, answer["mode"]) == (0, "enforce")
    assert answer["delayed"] == 0
    gauge = answer["gauges"][0]
    assert gauge.pop("history") == [0] * 29 + [1]
    assert re.fullmatch(r"limit domain-hourly \(.*policyd\.yaml:\d+:\d+\)", gauge.pop("origin"))
    assert gauge == {
        "account": "example.org", "plan": "shared", "limit": "domain-hourly", "subject": "example.org",
        "counts": "recipients", "used": 1, "max": 4, "window": 3_600_000, "mode": "enforce", "resumes": "",
        "would_refuse": "", "raised_until": "",
    }  # fmt: skip


def test_would_refuse(serve: Serve) -> None:
    """In mode observe --would-refuse shows who it was and when last, and how to enforce."""
    site = serve(mode="observe")
    site.send("alice@example.org", 3)
    until(lambda: "alice" in site.run("status", "--would-refuse")[1], "it is shown")
    output = site.run("status", "--would-refuse", TZ="UTC")[1]

    assert re.search(r"alice@example\.org +user-hourly +#{10} +3/2 in 1h +2026-05-28 20:26", output)
    assert output.splitlines()[0].rstrip().endswith("would refuse")
    assert "mode: observe - nothing is refused; write mode: enforce in policyd.yaml" in output


def test_would_refuse_of_one(serve: Serve) -> None:
    """With a subject --would-refuse shows the same rows, and only those of the subject."""
    site = serve(mode="observe")
    site.send("alice@example.org", 3)
    until(lambda: "alice" in site.run("status", "--would-refuse")[1], "it is shown")

    assert site.run("status", "--would-refuse", "example.org") == site.run("status", "--would-refuse")
    assert site.run("status", "--would-refuse", "bob@example.org")[1] == "nothing would have been refused\n"


def test_eighty_columns(site: Site) -> None:
    """In a pipe there are 80 columns and no colour, whatever a name is like."""
    site.send(f"somebody.with.a.long.name@{LONG}", 2)
    shown = until(lambda: at_least(site, 2) and site.run("status")[1], "status shows it")

    assert max(map(len, str(shown).splitlines())) <= 80
    assert "\x1b" not in str(shown)
    assert LONG in "".join(line.split()[0] for line in str(shown).splitlines())


def in_a_terminal(site: Site, **environ: str) -> str:
    """Return what status writes to a terminal."""
    ours, theirs = pty.openpty()
    env = {"PATH": os.environ["PATH"], "TERM": "xterm", "POLICYD_ADMIN": str(site.admin), **environ}
    subprocess.run([PROGRAM, "status", "example.org"], env=env, stdout=theirs, check=True, timeout=60)
    os.close(theirs)
    with os.fdopen(ours, "rb") as terminal:
        return terminal.read1(65_536).decode()


def test_colour(site: Site) -> None:
    """On a terminal a full bar is red, and NO_COLOR is obeyed."""
    site.send("alice@example.org", 2)
    site.send("bob@example.org", 2)

    assert "\x1b[31m##########" in in_a_terminal(site)
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", in_a_terminal(site, NO_COLOR="1"))


@pytest.mark.parametrize(
    ("name", "shown"),
    [("[/red]x", "[/red]x"), ("a\x1b[31mb", r"a\x1b[31mb"), ("\udcffa", r"\udcffa"), ("\u202eab", r"\u202eab")],
    ids=["markup", "escape", "bytes", "direction"],
)
def test_strange_names(site: Site, name: str, shown: str) -> None:
    """What a stranger may choose is shown as it is, and commands no terminal."""
    site.send(f"{name}@example.org", 1)
    output = until(lambda: at_least(site, 2) and site.run("status")[1], "status shows it")

    assert f"{shown}@example.org" in str(output)


def test_no_store(serve: Serve, redis_server: RedisServer) -> None:
    """While the store does not answer the exit code is 75, and what is known without it is shown."""
    site = serve(store={"timeout": "50ms"})
    redis_server.pause()
    code, output, errors = site.run("status", "example.org")
    public = site.run("status", "example.org", "--public", "--json")
    redis_server.resume()

    assert (code, errors) == (75, "")
    assert output.splitlines()[1:] == [
        "when_down: accept: mail flows without limits; 0 answers so far (README: When things break)",
        "what is used of the limits cannot be read",
    ]
    assert public == (75, "", "policyd: the store does not answer\n")


def test_the_last_window(site: Site) -> None:
    """Of a subject the last window is shown in 30 parts, and where the maximum comes from; with ASCII where need be."""
    site.send("alice@example.org", 1)
    site.advance(20 * 60_000)
    site.send("bob@example.org", 2)
    site.advance(30 * 60_000)
    line = r"example\.org +{bars} +limit domain-hourly"
    output, plain = site.run("status", "example.org")[1], site.run("status", "example.org", PYTHONIOENCODING="ascii")[1]

    assert re.search(line.format(bars=" {5}▄ {9}█ {14}"), output), output
    assert re.search(line.format(bars=" {5}= {9}# {14}"), plain), plain
    assert max(map(len, output.splitlines())) <= 80
    assert "the last window" not in site.run("status")[1]


def test_delayed_answers(serve: Serve) -> None:
    """Answers that wait for their slot are counted."""
    pace = {"kind": "pace", "per": "list", "every": "6s", "by": "answer", "delay_up_to": "20s"}
    site = serve(limits={"list-pace": pace})
    mail = {"sender": "news-bounces@example.org", "client_address": "127.0.0.1"}
    site.send("", 1, **mail)
    waiting = threading.Thread(target=site.send, args=("", 1), kwargs=mail)
    waiting.start()
    until(lambda: "1 answer waiting for a slot" in site.run("status")[1], "it waits")
    site.advance(6_000)
    waiting.join(20)

    assert "wait for their slot" not in site.run("status")[1]


def test_public(site: Site) -> None:
    """A customer sees his own numbers: no client, no other customer's name, no file, no limit that only observes."""
    site.configuration["limits"]["client-hourly"] = rate(9, per="client")
    site.configuration["limits"]["watched"] = rate(1, mode="observe")
    site.configuration["limits"]["sender-hourly"] = rate(9, per="sender")
    site.configuration["plans"]["shared"]["apply"] += ["client-hourly", "watched", "sender-hourly"]
    site.write()
    site.run("reload")
    site.send("alice@example.org", 2, sender="somebody@example.net", client_address="192.0.2.99")
    site.run("suspend", "alice@example.org", "--reason", "secret")
    seen = until(lambda: shown_to_all(site, "alice@example.org"), "the index has the user's counter")
    answer = json.loads(site.run("status", "news.example.org", "--public", "--json")[1])

    assert seen
    assert sorted((one["limit"], one["subject"], one["used"], one["max"]) for one in answer["limits"]) == [
        ("domain-hourly", "example.org", 2, 4), ("user-hourly", "alice@example.org", 2, 2),
    ]  # fmt: skip
    assert (answer["domain"], answer["plan"], answer["suspended"]) == ("example.org", "shared", ["alice@example.org"])
    assert not re.search(r"192\.0|example\.net|yaml|secret", json.dumps(answer))


def shown_to_all(site: Site, subject: str) -> bool:
    """Return whether the index knows what a subject has used."""
    return subject in site.run("status")[1] and "192.0.2.99" in site.run("status")[1]


@pytest.mark.parametrize("subject", ["(unlisted)", "alice@example.org", "user:bob"])
def test_nobody_s_to_see(site: Site, subject: str) -> None:
    """Only a hosted domain has something that a customer may see."""
    code, output, errors = site.run("status", subject, "--public", "--json")

    assert (code, output) == (1, "")
    assert errors == f"policyd: {subject} is no hosted domain, and nobody's to see\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--public", "--json"), "--public is for programs, and for one domain"),
        (("example.org", "--public"), "--public is for programs, and for one domain"),
        (("--watch",), "--watch needs a terminal"),
    ],
)
def test_what_does_not_go_together(site: Site, arguments: tuple[str, ...], said: str) -> None:
    """Options that make no sense are refused, with what to write instead."""
    code, output, errors = site.run("status", *arguments)

    assert (code, output) == (2, "")
    assert said in errors


def test_watch(site: Site) -> None:
    """It looks again and again, says when nobody answers, and ends with Ctrl-C."""
    ours, theirs = pty.openpty()
    env = {"PATH": os.environ["PATH"], "TERM": "xterm", "POLICYD_ADMIN": str(site.admin)}
    watching = subprocess.Popen([PROGRAM, "status", "--watch"], env=env, stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen = ""

    def shows(text: str) -> bool:
        nonlocal seen
        seen += os.read(ours, 65_536).decode()
        return text in seen

    try:
        until(lambda: shows("nothing is used of any limit"), "the first look")
        site.send("alice@example.org", 2)
        until(lambda: shows("2/2 in 1h"), "the next look")
        site.stop()
        until(lambda: shows("no answer from"), "nobody answers")
        watching.send_signal(signal.SIGINT)

        assert watching.wait(20) == 0
    finally:
        watching.kill()
        os.close(ours)


@pytest.mark.parametrize("top", ["0", "101", "x"])
def test_usage(site: Site, top: str) -> None:
    """A wrong option is a usage error."""
    assert site.run("status", "--top", top)[0] == 2
