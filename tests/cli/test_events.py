"""``policyd events``: what was refused, and what somebody did, when and why."""

import json
import os
import pwd
import re
import signal
import subprocess
from typing import Any

import pytest

from policyd.cli.client import AdminClient
from policyd.errors import DaemonError
from tests.cli.conftest import Serve, Site
from tests.support.command import PROGRAM
from tests.support.wait import until


def events(site: Site, *arguments: str) -> list[dict[str, Any]]:
    """Return what ``policyd events --json`` shows."""
    code, output, errors = site.run("events", *arguments, "--json")
    assert (code, errors) == (0, "")
    return list(json.loads(output)["events"])


def in_the_trail(site: Site, count: int) -> None:
    """Wait until so many events are in the trail of all."""
    until(lambda: len(events(site)) == count, f"{count} events are in the trail")


def test_nothing_happened(site: Site) -> None:
    """A fresh daemon has nothing to show."""
    assert site.run("events") == (0, "", "")
    assert events(site, "example.org") == []


def test_a_refusal_is_one_event_of_its_account(site: Site) -> None:
    """However often it is repeated; it has the reference that the customer heard."""
    answers = site.send("alice@example.org", 5)
    refs = {found[1] for found in (re.search(r"ref (\w{10})", answer) for answer in answers) if found}
    in_the_trail(site, 1)

    [event] = events(site)
    assert {event["ref"]} == refs
    assert event == {
        "at": "2026-05-28T20:26:40+00:00", "event": "refusal", "account": "example.org",
        "subject": "alice@example.org", "who": "alice@example.org", "why": "2 of 2 used", "limit": "user-hourly",
        "ref": event["ref"],
    }  # fmt: skip
    # The account's own trail is the script's, which knows no login.
    assert events(site, "Example.org.") == [{**event, "who": ""}]


def test_the_lines_can_be_read(site: Site) -> None:
    """When, what, who, why, in the reader's time zone."""
    site.send("alice@example.org", 3)
    in_the_trail(site, 1)

    code, output, errors = site.run("events", TZ="America/New_York")
    assert (code, errors) == (0, "")
    assert re.fullmatch(
        r"2026-05-28 16:26:40  refusal  alice@example\.org  user-hourly  by alice@example\.org  \(2 of 2 used\)"
        r"  ref \w{10}\n",
        output,
    )


def test_a_login_has_its_own_events_and_those_of_its_whole_domain(site: Site) -> None:
    """Not those of other logins, and no other account's."""
    site.send("alice@example.org", 3)
    site.send("bob@example.org", 3)
    # The domain's limit is full by then, and refuses bob for longer than his own.
    in_the_trail(site, 2)

    assert [event["subject"] for event in events(site, "alice@example.org")] == ["alice@example.org", "example.org"]
    assert [event["subject"] for event in events(site, "news.example.org")] == [
        "alice@example.org", "example.org", "bob@example.org",
    ]  # fmt: skip
    assert [event["subject"] for event in events(site, "-n", "1")] == ["example.org"]
    assert [event["subject"] for event in events(site, "example.org", "-n", "1")] == ["bob@example.org"]


def test_observe_says_that_nothing_was_refused(serve: Serve) -> None:
    """What mode observe let through is an event too."""
    site = serve(mode="observe")
    site.send("alice@example.org", 3)
    in_the_trail(site, 1)

    assert events(site)[0]["why"] == "3 of 2 used, observed only"


def test_a_reload_is_an_event(site: Site) -> None:
    """With who asked for it, and what changed or is wrong."""
    me = pwd.getpwuid(os.geteuid()).pw_name
    site.configuration["limits"]["domain-hourly"]["max"] = 7
    site.write()
    site.run("reload", SUDO_USER="carla")
    site.path.write_text("version: 2\n")
    site.run("reload")
    in_the_trail(site, 2)

    good, bad = events(site)
    assert (good["event"], good["account"]) == ("reload", "")
    assert good["who"] == f"carla, as {me} (uid {os.geteuid()})"
    assert good["why"] == "limits.domain-hourly.max: 4 -> 7"
    assert bad["who"] == f"{me} (uid {os.geteuid()})"
    assert bad["why"].startswith(f"{site.path}:1:1: the key limits is missing")
    assert bad["why"].endswith("; 1 more")


def test_follow_shows_what_comes(site: Site) -> None:
    """First what was, then each event when it happens; Ctrl-C ends it without an error."""
    site.send("alice@example.org", 3)
    in_the_trail(site, 1)
    command = [PROGRAM, "events", "example.org", "--follow", "--json", "--admin", str(site.admin)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as following:
        try:
            assert following.stdout is not None
            first = json.loads(following.stdout.readline())
            site.send("bob@example.org", 3)
            second = json.loads(following.stdout.readline())
        finally:
            following.send_signal(signal.SIGINT)

    assert [first["subject"], second["subject"]] == ["alice@example.org", "example.org"]
    assert following.returncode == 0


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"after": "yesterday"}, "after is no place in the trail"),
        ({"count": 0}, "count=0 is no number from 1 to 200"),
        ({"subject": "elsewhere.test"}, "elsewhere.test is not hosted here"),
    ],
)
def test_what_cannot_be_asked(site: Site, query: dict[str, str | int], said: str) -> None:
    """The answer says what is wrong."""
    with pytest.raises(DaemonError, match=said):
        AdminClient(str(site.admin)).get("/v1/events", **query)
