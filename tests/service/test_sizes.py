"""Lists under the shipped plans: how large, and at which hours."""

from dataclasses import replace
from typing import Any

import pytest

from policyd.conf.listed import KnownList
from policyd.conf.schema import Config
from policyd.model import Action
from policyd.policy.decide import moment
from policyd.policy.roster import NO_ROSTER, RosterList
from policyd.raises import Raises
from policyd.status import Status
from policyd.store.index import Index
from tests.support.clock import START
from tests.support.deciding import World

HOUR = 3_600_000
OPENS = START + 8 * HOUR + 2_000_000
"""START is a Thursday, 16:26:40 in New York: the next opening of off-peak is on Friday at 01:00."""

CLOSES = OPENS + 7 * HOUR
SATURDAY = CLOSES + 16 * HOUR


def on(config_: Config, plan: str = "shared", known: int | None = None, slack: int = 10) -> Config:
    """Return the configuration with example.org on a plan, and what lists.known says of its list."""
    named = {"php@example.org": KnownList("news@example.org", known)}
    accounts = replace(config_.accounts, plans={"example.org": plan})
    return replace(config_, accounts=accounts, lists=replace(config_.lists, known=named, seen_slack=slack))


def mail(world: World, members: int, first: int = 0, name: str = "news", **changed: Any) -> list[Action]:
    """Mail to members in chunks of 100, and return the answers."""
    software = {"sasl_username": "", "client_address": "127.0.0.1", "policy_context": "mailman"}
    smtpd, heard = world.connection(), []
    for start in range(first, first + members, 100):
        names = [f"m{number}@remote.test" for number in range(start, min(start + 100, first + members))]
        message = smtpd.message(**{**software, "sender": f"{name}-bounces@example.org", **changed})
        heard += message.to(*names)
        message.end(len(names))
    return heard


def is_too_large(world: World, name: str = "news") -> bool:
    """Return whether the beginning of a next post is refused once it is seen to be a mailing."""
    heard = mail(world, 30, name=name)
    assert set(heard[:20]) == {Action.ACCEPT}
    assert len(set(heard[20:])) == 1
    return heard[20] is Action.DEFER


@pytest.mark.parametrize(("size", "too_large"), [(900, False), (901, True)])
def test_900_pass_at_peak_and_901_do_not(world: World, shipped: Config, size: int, too_large: bool) -> None:
    """T6, by lists.known."""
    world.config = on(shipped, known=size)
    assert is_too_large(world) is too_large


@pytest.mark.parametrize(("size", "too_large"), [(901, False), (1000, False), (1001, True)])
def test_1000_pass_off_peak_and_1001_do_not(world: World, shipped: Config, size: int, too_large: bool) -> None:
    """T3, by lists.known."""
    world.config = on(shipped, known=size)
    world.advance(OPENS - START)
    assert is_too_large(world) is too_large


@pytest.mark.parametrize(("members", "too_large"), [(900, False), (901, True)])
def test_by_what_was_seen_too(world: World, shipped: Config, members: int, too_large: bool) -> None:
    """With seen_slack: 0% as strictly; the post that shows it goes to everybody."""
    world.config = on(shipped, slack=0)
    assert set(mail(world, members)) == {Action.ACCEPT}
    world.advance(2 * HOUR)
    assert is_too_large(world) is too_large


@pytest.mark.parametrize(("plan", "members", "too_large"), [("shared", 1001, True), ("semi-dedicated", 1001, False)])
def test_another_plan_has_larger_lists(world: World, shipped: Config, plan: str, members: int, too_large: bool) -> None:
    """T18: the shipped plans, off-peak, by what was seen."""
    world.config = on(shipped, plan, slack=0)
    world.advance(OPENS - START)
    assert set(mail(world, members)) == {Action.ACCEPT}
    world.advance(2 * HOUR)
    assert is_too_large(world) is too_large


@pytest.mark.parametrize(("members", "too_large"), [(1000, False), (1001, True)])
def test_a_roster_is_believed_as_strictly(world: World, shipped: Config, members: int, too_large: bool) -> None:
    """Whatever lists.known says, and after a reload too."""
    world.config = on(shipped, known=7 if too_large else 5000)
    world.advance(OPENS - START)
    world.daemon.service.enrolled({"news@example.org": RosterList(members)})
    world.daemon.service.configure(world.config)
    assert is_too_large(world) is too_large


def test_a_list_is_too_large_until_its_roster_says_otherwise(world: World, shipped: Config) -> None:
    """In the middle of a mailing: its members need not wait for what was seen to fade."""
    world.config = on(shipped, slack=0)
    world.advance(OPENS - START)
    mail(world, 1001)
    world.advance(2 * HOUR)
    assert is_too_large(world)
    world.daemon.service.enrolled({"news@example.org": RosterList(990)})
    assert not is_too_large(world)


def test_a_dedicated_plan_keeps_no_set(world: World, shipped: Config) -> None:
    """No limit of size is in force, and nothing is asked of the store."""
    world.config = on(shipped, "dedicated", known=50_000)
    assert set(mail(world, 300)) == {Action.ACCEPT}
    assert world.ops == []


def test_a_mailing_stops_at_the_edge_and_goes_on_in_the_next_opening(world: World, shipped: Config) -> None:
    """On a weekday until 08:00, and again from Saturday 00:00 on, to the second."""
    world.config = on(shipped, known=950)
    world.advance(CLOSES - 1 - START)
    assert set(mail(world, 400)) == {Action.ACCEPT}
    world.advance(1)
    assert set(mail(world, 550, first=400)) == {Action.DEFER}
    world.advance(SATURDAY - 1 - CLOSES)
    assert set(mail(world, 550, first=400)[20:]) == {Action.DEFER}
    world.advance(1)
    assert set(mail(world, 550, first=400)) == {Action.ACCEPT}


def test_a_neighbour_makes_no_list_too_large(world: World, shipped: Config) -> None:
    """What only claims to be the list is counted for itself."""
    world.config = on(shipped, slack=0)
    mail(world, 1100, policy_context="")
    world.advance(2 * HOUR)
    assert not is_too_large(world)


def test_status_shows_how_large_a_list_is(world: World, shipped: Config) -> None:
    """By what was seen, under each limit that looks at it."""
    world.config = on(shipped)
    mail(world, 50)
    redis = world.daemon.store.redis
    status = Status(redis, Index(redis), Raises(redis), lambda: NO_ROSTER)
    gauges = world.run(status.of(world.config, "news@example.org"))
    assert {(one.limit, one.counts, one.used, one.max) for one in gauges} == {
        ("list-size", "addresses", 50, 1000),
        ("list-off-peak", "addresses", 50, 900),
    }


def test_status_says_when_a_list_flows_again(world: World, shipped: Config) -> None:
    """One that only the hours hold back at the next opening, in it at once, and one that no hours let through never."""
    redis = world.daemon.store.redis
    status = Status(redis, Index(redis), Raises(redis), lambda: NO_ROSTER)

    def again(known: int) -> dict[str, str]:
        gauges = world.run(status.of(on(shipped, known=known), "news@example.org"))
        return {one.limit: one.resumes for one in gauges if one.counts == "addresses"}

    world.config = on(shipped, known=950)
    mail(world, 30)
    assert again(950) == {"list-size": "", "list-off-peak": moment(OPENS)}
    assert again(1001) == {"list-size": "never", "list-off-peak": moment(OPENS)}
    world.advance(OPENS - START)
    assert again(950) == {"list-size": "", "list-off-peak": ""}


def test_a_family_is_only_observed(world: World, shipped: Config) -> None:
    """T4: splitting is a human's judgement."""
    world.config = on(shipped, slack=0)
    for name in ("news1", "news2"):
        assert set(mail(world, 600, first=600 * (name == "news2"), name=name)) == {Action.ACCEPT}
    world.advance(2 * HOUR)
    assert not is_too_large(world, "news1")
    outcome = world.heard.outcomes[-2]
    assert outcome
    assert [usage.used for usage in outcome.usages if usage.episode] == [1001]
