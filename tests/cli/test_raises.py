"""``policyd raise``: another maximum for a while."""

import json
import os
import pwd
from datetime import datetime, timedelta
from typing import Any

import pytest

from policyd.cli.client import AdminClient
from policyd.errors import DaemonError
from tests.cli.conftest import Serve, Site
from tests.cli.test_events import events
from tests.support.daemon import rate

HOUR = 3_600_000
ME = f"{pwd.getpwuid(os.geteuid()).pw_name} (uid {os.geteuid()})"


def put(site: Site, most: int, limit: str = "domain-hourly", lasts: int = HOUR, **more: Any) -> None:
    """Raise a limit of example.org, by the clock of the test."""
    until = site.clock.now() + lasts
    client = AdminClient(str(site.admin))
    client.post("/v1/raise", subject="example.org", limit=limit, max=str(most), until=until, **more)


def accepted(site: Site, login: str, recipients: int) -> int:
    """Return how many of so many recipients a login may mail to."""
    return site.send(login, recipients).count("DUNNO")


def test_a_raise_is_in_force_until_its_end(serve: Serve) -> None:
    """The refusal names the raised maximum; when it is over, what was used beyond the limit's own counts."""
    site = serve(limits={"domain-hourly": rate(4), "user-hourly": rate(100, per="user", traffic=["user"])})
    assert accepted(site, "alice@example.org", 5) == 4

    put(site, 6, lasts=HOUR // 2)
    answers = site.send("alice@example.org", 3)
    assert answers[:2] == ["DUNNO", "DUNNO"]
    assert answers[2].startswith("550 5.7.1 Limit domain-hourly: 6 of 6 recipients in 1h used; mail flows again at ")

    site.advance(HOUR // 2)
    assert site.send("bob@example.org", 1)[0].startswith("550 5.7.1 Limit domain-hourly: 6 of 4 recipients in 1h used")
    site.advance(HOUR)
    assert accepted(site, "bob@example.org", 5) == 4


def test_a_limit_per_user_is_raised_for_every_user_of_the_domain(serve: Serve) -> None:
    """Each has the raised maximum for himself."""
    site = serve(limits={"domain-hourly": rate(100), "user-hourly": rate(2, per="user", traffic=["user"])})
    put(site, 3, "user-hourly")

    assert [accepted(site, f"{name}@example.org", 4) for name in ("alice", "bob")] == [3, 3]


def test_the_log_tells_a_raise_from_its_end(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """A reason stands in brackets where there is one."""
    caplog.set_level("INFO", "policyd.admin")
    named = ("raise", "example.org", "domain-hourly")
    site.run(*named, "800", "--until", "2099-12-24T18:00", "--reason", "ticket 4711", TZ="UTC")
    site.run(*named, "--end")

    said = [record.getMessage() for record in caplog.records if record.name == "policyd.admin"]
    assert said == [
        f"{ME} raises domain-hourly of example.org: 4 -> 800 until 2099-12-24T18:00:00+00:00 (ticket 4711)",
        f"{ME} ends the raise of domain-hourly of example.org: 800 -> 4",
    ]


def test_another_domain_is_not_raised(site: Site) -> None:
    """Limits are raised for one account."""
    put(site, 40)
    other = "x@a-domain-with-a-name-that-is-longer-than-most.of-the-others.example.net"

    assert accepted(site, other, 3) == 2


def test_the_command(site: Site) -> None:
    """It says what it did; the end is by the reader's clock."""
    code, output, errors = site.run(
        "raise", "Example.org.", "domain-hourly", "800", "--until", "2099-12-24T18:00", "-r", "ticket 4711", TZ="UTC"
    )
    assert (code, errors) == (0, "")
    assert output == "domain-hourly of example.org is raised from 4 to 800 until 2099-12-24 18:00\n"

    code, output, errors = site.run("raise", "example.org", "domain-hourly", "--end")
    assert (code, output, errors) == (0, "domain-hourly of example.org is no longer raised\n", "")
    code, _, errors = site.run("raise", "example.org", "domain-hourly", "--end")
    assert (code, errors) == (1, "policyd: domain-hourly of example.org is not raised\n")

    code, output, _ = site.run("raise", "example.org", "user-hourly", "10", "--until", "6h", "--json")
    done = json.loads(output)
    assert (code, done["account"], done["limit"], done["max"], done["was"]) == (0, "example.org", "user-hourly", 10, 2)
    end = datetime.fromisoformat(done["until"]) - datetime.now().astimezone()
    assert abs(end - timedelta(hours=6)) < timedelta(minutes=1)


def test_it_is_an_event_with_who_when_and_why(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its end before its time is one too."""
    monkeypatch.setenv("SUDO_USER", "carla")
    put(site, 8, reason="ticket 4711")
    monkeypatch.delenv("SUDO_USER")
    AdminClient(str(site.admin)).post("/v1/raise/end", subject="example.org", limit="domain-hourly")

    first, last = events(site, "example.org")
    assert first == {
        "at": "2026-05-28T20:26:40+00:00", "event": "raise", "account": "example.org", "subject": "example.org",
        "who": f"carla, as {ME}", "why": "4 -> 8 until 2026-05-28T21:26:40+00:00: ticket 4711",
        "limit": "domain-hourly", "ref": "",
    }  # fmt: skip
    assert last == {**first, "who": ME, "why": "8 -> 4"}
    assert events(site) == [first, last]


def test_it_is_shown_wherever_the_limit_is(site: Site) -> None:
    """In the status of the domain and of a login, and in what is in force."""
    put(site, 8, reason="ticket 4711")
    site.send("alice@example.org", 1)
    line = "domain-hourly of example.org is raised to 8 until 2026-05-28 21:26\n"

    for subject in ("example.org", "alice@example.org"):
        output = site.run("status", subject, TZ="UTC")[1]
        assert "1/8 in 1h" in output
        assert output.endswith(line)
    gauge = site.ask("/v1/status", subject="example.org")["gauges"][0]
    assert (gauge["max"], gauge["raised_until"]) == (8, "2026-05-28T21:26:40+00:00")

    shown = site.run("config", "show", "example.org", TZ="UTC")[1]
    assert f"  raised to 8 until 2026-05-28 21:26 by {ME} (ticket 4711)\n" in shown
    limits = json.loads(site.run("config", "show", "example.org", "--json", TZ="UTC")[1])["limits"]
    assert [bool(limit["raised"]) for limit in limits] == [True, False]


def test_a_suspension_is_shown_there_too(site: Site) -> None:
    """In the status of all, of the domain and of its logins, not of another one."""
    client = AdminClient(str(site.admin))
    client.post("/v1/suspend", subject="bob@example.org", reason="ticket 4711")
    line = f"bob@example.org is suspended until it is resumed, since 2026-05-28 20:26 by {ME} (ticket 4711)\n"

    for subject in ((), ("example.org",), ("alice@example.org",)):
        assert site.run("status", *subject, TZ="UTC")[1].endswith(line)
    assert f"  {line}" in site.run("config", "show", "news.example.org", TZ="UTC")[1]
    assert "suspended" not in site.run("status", "(unlisted)")[1]


def test_what_is_in_force_is_shown_without_a_daemon(site: Site) -> None:
    """What stands for a while is left out then."""
    put(site, 8)
    code, output, errors = site.run("config", "show", "example.org", "--admin", str(site.base / "nowhere"))

    assert (code, errors) == (0, "")
    assert "raised" not in output
    assert "limit domain-hourly" in output


@pytest.mark.parametrize(
    "arguments", [(), ("800",), ("--until", "6h"), ("800", "--until", "6h", "--end"), ("--end", "--until", "6h")]
)
def test_half_a_raise_is_a_mistake(site: Site, arguments: tuple[str, ...]) -> None:
    """Exit code 2, and what to write."""
    code, output, errors = site.run("raise", "example.org", "domain-hourly", *arguments)

    assert (code, output) == (2, "")
    assert errors.startswith("policyd: a raise has a maximum and an end (write MAX and --until 6h")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"max": "4"}, r"4 is no raise: example.org has 4 \(to lower it, change its plan\)"),
        ({"max": "3"}, "3 is no raise"),
        ({"max": "many"}, r"many is no maximum \(write a number\)"),
        ({"max": "-8"}, "-8 is no maximum"),
        ({"max": str(10**12)}, "is no maximum"),
        ({"max": "8", "until": 0}, "a raise needs an end"),
        (
            {"max": "8", "limit": "domain-hurly"},
            "domain-hurly is no limit of example.org",
        ),
        ({"max": "8", "subject": "bob@example.org"}, r"limits are raised for a domain \(name example.org"),
        ({"max": "8", "subject": "elsewhere.test"}, "elsewhere.test is not hosted here"),
    ],
)
def test_what_cannot_be_raised(site: Site, body: dict[str, Any], said: str) -> None:
    """The answer says what is wrong."""
    asked = {"subject": "example.org", "limit": "domain-hourly", "until": site.clock.now() + HOUR, **body}
    with pytest.raises(DaemonError, match=said):
        AdminClient(str(site.admin)).post("/v1/raise", **asked)


def test_only_what_counts_in_a_window_is_raised_for_a_while(serve: Serve) -> None:
    """A pace is a matter of the plan."""
    site = serve(
        limits={
            "domain-hourly": rate(4),
            "list-pace": {"kind": "pace", "per": "list", "every": "6s", "by": "answer", "delay_up_to": "20s"},
        }
    )

    with pytest.raises(
        DaemonError, match=r"list-pace is a pace, which has no maximum \(change its every"
    ):
        put(site, 2000, "list-pace")


def test_bytes_are_raised_to_a_size(serve: Serve) -> None:
    """As the configuration writes it."""
    site = serve(limits={"domain-hourly": rate("1MB", counts="bytes")})
    client, until = AdminClient(str(site.admin)), site.clock.now() + HOUR
    asked = {"subject": "example.org", "limit": "domain-hourly", "until": until}

    assert client.post("/v1/raise", **asked, max="2GB")["max"] == 2 * 10**9
    with pytest.raises(DaemonError, match=r"2000 is no maximum \(write a size, as 2GB\)"):
        client.post("/v1/raise", **asked, max="2000")
