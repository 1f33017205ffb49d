"""``policyd lists``: how large lists are, who says so, and whether they may mail now."""

import json
from typing import Any

import pytest

from tests.cli.conftest import Serve, Site
from tests.cli.test_events import events
from tests.support.asker import Asker
from tests.support.daemon import rate
from tests.support.wait import until

NEWS = "news@example.org"
HOW = "no roster has one (mailman:), nor lists.known, and none with a limit of its size has mailed lately"
LIMITS: dict[str, Any] = {
    "list-size": {"kind": "size", "per": "list", "max": 30},
    "list-family": {"kind": "size", "per": "list-family", "max": 30, "mode": "observe"},
    "list-off-peak": {"kind": "size", "per": "list", "max": 25, "lifted_by": "off-peak"},
    "list-pace": {
        "kind": "pace", "per": "list", "every": "6s", "by": "transport", "transport": "slow:[127.0.2.0/24]:2526"
    },
}  # fmt: skip
SCHEDULES = {"off-peak": {"timezone": "America/New_York", "open": ["Sat-Sun", "Mon-Fri 01:00-08:00"]}}


@pytest.fixture
def lists(serve: Serve) -> Site:
    """Run a daemon where two lists are known: one by lists.known, one by its mailings alone."""
    known = {"php@example.org": {"posting": NEWS, "size": 27}}
    return serve(
        limits=LIMITS,
        schedules=SCHEDULES,
        lists={"contexts": ["mailman"], "known": known, "mailing_over": 5, "seen_slack": "0%"},
    )


def waiting(site: Site, name: str, members: int) -> int:
    """Mail to members of a list, and return how many copies wait."""
    of = {"sender": f"{name}-bounces@example.org", "sasl_username": "", "policy_context": "mailman"}
    with Asker(site.policy) as asker:
        answers = [asker.ask(recipient=f"m{n}@remote.test", client_address="127.0.0.1", **of) for n in range(members)]
    return len([answer for answer in answers if answer.startswith("450 4.7.1 ")])


def shown(site: Site, *words: str) -> dict[str, Any]:
    """Return what the command says, for programs."""
    code, output, errors = site.run("lists", *words, "--json")
    assert (code, errors) == (0, "")
    return dict(json.loads(output))


def wait_seen(site: Site, name: str) -> None:
    """Wait until the index knows of a list that has mailed."""
    until(lambda: name in [one["list"] for one in shown(site)["lists"]], f"{name} is seen")


def test_a_list_is_shown_with_all_that_is_known_of_it(lists: Site) -> None:
    """Size and who says so, plan, limits, hours, pace, and the verdict of now; on a Thursday at 16:26 in New York."""
    code, output, errors = lists.run("lists", "example.org", COLUMNS="80")

    assert (code, errors) == (0, "")
    assert output.splitlines() == [
        NEWS,
        "  size           27 by lists.known",
        "  plan           shared",
        "  list-size      27 of 30: fits",
        "  list-family    0 of 30 of its family news*: fits",
        "  list-off-peak  27 of 25: waits",
        "                 off-peak lifts it from Fri 2026-05-29 01:00 -0400 on",
        "                 off-peak lifts it until Fri 2026-05-29 08:00 -0400",
        "  pace           one recipient each 6s by slow:[127.0.2.0/24]:2526 per list",
        "  now            waits until Fri 2026-05-29 01:00 -0400: list-off-peak, 27 of 25",
    ]
    assert max(map(len, output.splitlines())) <= 80
    lists.advance(9 * 3_600_000)
    assert "  list-off-peak  27 of 25: lifted" in lists.run("lists", NEWS)[1].splitlines()
    assert lists.run("lists", NEWS)[1].splitlines()[-1] == "  now            flows"


def test_a_list_that_only_mails_is_found(lists: Site) -> None:
    """By what its mailings have shown; with the others, one line for each, in a pipe of 80 columns."""
    assert waiting(lists, "shop", 20) == 0
    wait_seen(lists, "shop@example.org")

    code, output, _ = lists.run("lists", COLUMNS="80")
    assert code == 0
    assert " ".join(output.split()) == (
        f"list size plan now {NEWS} 27 by lists.known shared waits until Fri 2026-05-29 01:00 -0400: list-off-peak, "
        "27 of 25 shop@example.org 20 by its mailings shared flows"
    )
    assert max(map(len, output.splitlines())) <= 80
    (shop,) = shown(lists, "shop@example.org")["lists"]
    assert shop["sizes"] == [{"size": 20, "source": "mailings"}]
    assert {one["limit"]: (one["subject"], one["used"]) for one in shop["limits"]} == {
        "list-size": ("shop@example.org", 20),
        "list-family": ("shop*", 20),
        "list-off-peak": ("shop@example.org", 20),
    }


def test_a_domain_without_lists_hears_how_one_is_known(lists: Site) -> None:
    """And a domain that is not hosted is none."""
    domain = "a-domain-with-a-name-that-is-longer-than-most.of-the-others.example.net"
    code, output, _ = lists.run("lists", domain)
    assert (code, output.splitlines()) == (0, [f"{domain} has no list that policyd knows:", HOW])
    assert lists.run("lists", "example.com")[0] == 1


def test_a_list_that_is_suspended_does_not_flow(lists: Site) -> None:
    """Whatever its size."""
    lists.run("suspend", f"list:{NEWS}", "--reason", "bought addresses")
    assert [one["flows"] for one in shown(lists)["lists"]] == [False]
    assert lists.run("lists", NEWS)[1].splitlines()[-1] == "  now            is suspended"


def test_a_size_that_was_counted_is_forgotten_by_hand(lists: Site) -> None:
    """Under one limit for all of them, which share it; the family is another counter. Who did it is an event."""
    assert waiting(lists, "shop", 31) == 0
    lists.advance(2 * 3_600_000)
    assert waiting(lists, "shop", 31) == 26
    wait_seen(lists, "shop@example.org")

    code, output, _ = lists.run("reset", "shop@example.org", "list-size", "--reason", "ticket 4711")
    assert (code, output) == (0, "shop@example.org: list-size is empty again; 31 of 30 were used\n")
    (shop,) = shown(lists, "shop@example.org")["lists"]
    assert [one["used"] for one in shop["limits"]] == [0, 31, 0]
    code, output, _ = lists.run("reset", "shop@example.org", "list-family")
    assert (code, output) == (0, "shop*: list-family is empty again; 31 of 30 were used\n")
    assert waiting(lists, "shop", 20) == 0
    whom = [
        (one["limit"], one["subject"], one["why"]) for one in events(lists, "example.org") if one["event"] == "reset"
    ]
    assert whom == [
        ("list-size", "shop@example.org", "31 of 30 used: ticket 4711"),
        ("list-family", "shop*", "31 of 30 used"),
    ]


def test_a_size_that_is_known_cannot_be_forgotten(lists: Site) -> None:
    """It was not counted: where it is written it can be corrected."""
    code, _, errors = lists.run("reset", NEWS, "list-size")
    assert code == 1
    assert errors == (
        f"policyd: {NEWS} has 27 addresses since lists.known says so: nothing was counted (correct it there)\n"
    )


def test_what_a_list_has_used_of_a_rate_is_forgotten_whatever_its_size(serve: Serve) -> None:
    """The size that is known is of another limit."""
    known = {"php@example.org": {"posting": NEWS, "size": 27}}
    limits = {"list-size": LIMITS["list-size"], "each-list": rate(5, per="list", traffic=["list"], over="defer")}
    site = serve(limits=limits, lists={"contexts": ["mailman"], "known": known})
    assert waiting(site, "news", 3) == 0
    code, output, _ = site.run("reset", NEWS, "each-list")
    assert (code, output) == (0, f"{NEWS}: each-list is empty again; 3 of 5 were used\n")


def test_a_size_is_raised_for_a_while(lists: Site) -> None:
    """On every list of the domain."""
    code, output, _ = lists.run("raise", "example.org", "list-off-peak", "40", "--until", "2027-01-01")
    assert code == 0
    assert output.startswith("list-off-peak of example.org is raised from 25 to 40 until ")
    (news,) = shown(lists)["lists"]
    assert (news["flows"], [one["max"] for one in news["limits"]]) == (True, ["30", "30", "40"])
    assert waiting(lists, "news", 27) == 0


def test_a_roster_that_cannot_be_read_is_said(serve: Serve) -> None:
    """With the cure; nobody needs the log to see it."""
    site = serve(mailman={"url": "http://127.0.0.1:1/3.1", "password_file": "/nonexistent/password"})
    until(lambda: shown(site)["roster"]["failing"], "the reading has failed")

    output = site.run("lists")[1].splitlines()
    assert output[:3] == [
        "this host has no list that policyd knows:",
        HOW,
        "The rosters cannot be read; none was read yet:",
    ]
    cure = "write the admin_pass of Mailman's REST into /nonexistent/password, for policyd's user to read"
    assert output[3] == f"  /nonexistent/password: the file is not there ({cure})"
