"""Who is over a limit that is lowered: before it happens, and when it does."""

import json
from pathlib import Path

import pytest
import yaml

from policyd.cli.client import AdminClient, RefusedError
from tests.cli.conftest import Serve, Site
from tests.support.command import policyd
from tests.support.wait import until

ALICE = "alice@example.org"
CHANGES = ["limits.domain-hourly.max: 4 -> 1", "limits.user-hourly.max: 2 -> 1"]
OVER = [
    "example.org uses 2 of domain-hourly, over the new 1",
    "alice@example.org uses 2 of user-hourly, over the new 1",
]


def lowered(site: Site) -> Path:
    """Return a file with both limits at 1."""
    made = json.loads(json.dumps(site.configuration))
    for name in ("domain-hourly", "user-hourly"):
        made["limits"][name]["max"] = 1
    file = site.base / "new.yaml"
    file.write_text(yaml.safe_dump(made, sort_keys=False))
    return file


def refused(site: Site, limits: object) -> str:
    """Return why the daemon does not take what it is asked."""
    with pytest.raises(RefusedError) as caught:
        AdminClient(str(site.admin)).post("/v1/over", limits=limits)
    return str(caught.value)


def sent_two(serve: Serve) -> Site:
    """Return a site where two mails of one person have been counted, and the index knows it."""
    site = serve()
    site.send(ALICE, 2)

    def known() -> bool:
        return any(gauge["subject"] == ALICE for gauge in site.ask("/v1/status")["gauges"])

    until(known, "the index has the login")
    return site


def test_diff_says_who_is_over_before_it_happens(serve: Serve) -> None:
    """A domain and a login; nothing is changed by asking."""
    site = sent_two(serve)
    new = lowered(site)
    code, output, errors = site.run("config", "diff", str(site.path), str(new))
    assert (code, output.splitlines(), errors) == (1, [*CHANGES, *OVER], "")
    answer = json.loads(site.run("config", "diff", str(site.path), str(new), "--json")[1])
    assert answer == {"changes": CHANGES, "over": OVER}
    assert site.used("example.org", "domain-hourly") == 2


def test_a_raise_in_force_counts(serve: Serve) -> None:
    """Who was raised above what he uses is not over."""
    site = sent_two(serve)
    assert site.run("raise", "example.org", "domain-hourly", "10", "--until", "2h")[0] == 0
    assert site.run("config", "diff", str(site.path), str(lowered(site)))[1].splitlines() == [*CHANGES, OVER[1]]


def test_without_a_daemon_the_diff_says_so(serve: Serve) -> None:
    """The rest is shown, and the exit code is the same."""
    site = serve()
    new = lowered(site)
    site.stop()
    done = policyd("config", "diff", str(site.path), str(new), "--admin", str(site.admin))
    assert (done.returncode, done.stdout.splitlines()) == (1, CHANGES)
    assert done.stderr.startswith("policyd: who is over the lowered limits is not known: no answer from unix:")


def test_a_reload_says_it_too_and_an_event_keeps_it(serve: Serve) -> None:
    """In the answer and in the trail of all."""
    site = sent_two(serve)
    lowered(site).rename(site.path)
    assert site.run("reload")[1].splitlines() == [*CHANGES, *OVER]

    def events() -> list[str]:
        return [one["why"] for one in site.ask("/v1/events")["events"] if one["event"] == "reload"]

    assert until(events, "the event is there") == ["; ".join([*CHANGES, *OVER])]


def test_what_is_no_list_of_limits_is_refused(serve: Serve) -> None:
    """With what it should be."""
    site = serve()
    for wrong in ("x", [["example.org", "domain-hourly"]], [["example.org", "domain-hourly", -1]], [[1, 2, 3]]):
        assert refused(site, wrong) == "limits is no list of up to 1000 triples of account, limit and maximum"
