"""The door: who posts to a list that is too large for its plan is told at once, and nothing is charged."""

from dataclasses import replace
from typing import Any

import pytest

from policyd.conf.listed import KnownList, Lists
from policyd.conf.schema import Config, Exempt, Terms
from policyd.model import Action, Mode, Per, Verdict
from policyd.policy.roster import RosterList, Subscription
from policyd.store.base import Op
from policyd.suspension import Suspended
from tests.service.test_sizes import OPENS, mail, on
from tests.support.clock import START
from tests.support.config import asked, config, rate, size
from tests.support.deciding import World

NEWS, HOUR, REF = "news@example.org", 3_600_000, "7KQ2M0XW9A"
OWN: dict[str, Any] = {"sasl_username": "alice@example.org"}
OUTSIDE: dict[str, Any] = {"sasl_username": "", "sender": "x@remote.test"}
OTHER: dict[str, Any] = {"sasl_username": "carol@example.net"}
LOCAL: dict[str, Any] = {"sasl_username": "", "client_address": "127.0.0.1", "sender": "www@example.org"}
FAN_OUT: dict[str, Any] = {
    "sasl_username": "", "client_address": "127.0.0.1", "policy_context": "mailman",
    "sender": "all-bounces@example.net",
}  # fmt: skip

TOLD = "Limit list-size: news@example.org has 1001 addresses, 1000 are allowed on plan shared"
CLOSED = "This list cannot take posts now"
OPENING = "2026-05-29T05:00:00+00:00"


def closed(known: int | None = 1001, **fields: Any) -> Config:
    """Return a configuration with a list of that size beside a rate limit."""
    lists = Lists(
        contexts=frozenset({"mailman"}), known={"php@example.org": KnownList(NEWS, known)},
        **{name: fields.pop(name) for name in ("seen_slack",) if name in fields},
    )  # fmt: skip
    return config(rate(), size(), lists=lists, **fields)


@pytest.mark.parametrize(
    ("author", "action", "text"),
    [
        (OWN, Action.REJECT, TOLD),
        (OUTSIDE, Action.REJECT, CLOSED),
        (OTHER, Action.REJECT, CLOSED),
        (LOCAL, Action.REJECT, CLOSED),
        (FAN_OUT, Action.DEFER, CLOSED),
    ],
    ids=["own login", "outside", "another customer", "a local client that only claims", "another list"],
)
def test_whoever_posts_to_a_list_that_is_too_large_is_told(
    world: World, author: dict[str, Any], action: Action, text: str
) -> None:
    """With size, ceiling and plan if he is surely of its account; one look, and nothing is charged."""
    world.config = closed()
    verdict = world.connection().message(**author).rcpt("News+x@Example.ORG")

    assert (verdict.action, verdict.text) == (action, text)
    assert world.ops == [Op.PEEK]
    assert world.used() == 0


def test_the_refusal_is_recorded_as_the_lists(world: World) -> None:
    """Under its account and plan, as traffic of its author."""
    world.config = closed()
    world.connection().message(**OUTSIDE).rcpt(NEWS)

    recorded = world.heard.decisions[-1].plan
    assert (recorded.traffic.account, recorded.traffic.list, recorded.traffic.kind) == ("example.org", NEWS, "inbound")
    assert recorded.terms.plan == "shared"


@pytest.mark.parametrize("part", ["request", "owner", "bounces", "join", "leave", "confirm"])
def test_only_the_posting_address_is_a_door(world: World, part: str) -> None:
    """Who wants to leave, or to speak to the owner, comes through; the store is not asked for it."""
    world.config = closed()
    assert world.connection().message(**OUTSIDE).rcpt(f"news-{part}@example.org").action is Action.ACCEPT
    assert world.ops == []


def test_a_post_that_is_taken_is_charged_as_any_mail(world: World) -> None:
    """After the look; one from outside costs nothing more."""
    world.config = closed(1000)
    message = world.connection().message(**OWN)
    assert message.to(NEWS, "x@remote.test") == [Action.ACCEPT] * 2
    assert world.ops == [Op.PEEK, Op.CHARGE, Op.CHARGE]
    message.end(2)
    assert world.used() == 2
    world.ops.clear()
    assert world.connection().message(**OUTSIDE).to(NEWS, "alice@example.org") == [Action.ACCEPT] * 2
    assert world.ops == [Op.PEEK]


def test_the_list_may_be_of_another_account_than_the_author(world: World) -> None:
    """Whose charge is then made where it belongs."""
    world.config = closed(1000)
    assert world.connection().message(**OTHER).to(NEWS) == [Action.ACCEPT]
    assert world.used(account="example.net") == 1


@pytest.mark.parametrize(("size_", "refused"), [(1000, False), (1001, True)])
def test_1000_are_taken_and_1001_are_not(world: World, shipped: Config, size_: int, refused: bool) -> None:
    """At the door as in the fan-out, by lists.known, by a roster before it, and by mailings with seen_slack: 0%."""
    world.config = on(shipped, known=size_)
    post = world.connection().message(**OUTSIDE)
    world.advance(OPENS - START)
    assert (post.rcpt(NEWS).action is Action.REJECT) is refused
    world.daemon.service.configure(on(shipped, known=7 if refused else 9000))
    world.daemon.service.enrolled({NEWS: RosterList(size_)})
    assert (post.rcpt(NEWS).action is Action.REJECT) is refused
    world.daemon.service.enrolled({})
    world.daemon.service.configure(on(shipped, slack=0))
    assert set(mail(world, size_)) == {Action.ACCEPT}
    assert (post.rcpt(NEWS).action is Action.REJECT) is refused


def test_one_post_has_one_verdict_though_its_own_fan_out_shuts_the_door(world: World, shipped: Config) -> None:
    """The next post hears it; after ``remember`` what was seen counts no more."""
    world.config = on(shipped, slack=0)
    world.advance(OPENS - START)
    post = world.connection().message(**OUTSIDE)
    assert post.rcpt(NEWS).action is Action.ACCEPT
    assert set(mail(world, 1300)) == {Action.ACCEPT}
    assert post.rcpt(NEWS).action is Action.REJECT
    world.advance(7 * 24 * HOUR + 1)
    assert post.rcpt(NEWS).action is Action.ACCEPT


def test_a_list_that_has_mailed_has_a_door_on_every_daemon(world: World) -> None:
    """On its own at once, on the others as soon as they have looked; unless a neighbour only claims to be it."""
    site = replace(closed(), lists=Lists(contexts=frozenset({"mailman"}), seen_slack=0))
    world.config = replace(site, plans={"shared": Terms("shared", (size(max=30),))})
    other = world.start() and world.start()
    mail(world, 40, name="forged", policy_context="")
    mail(world, 40)
    assert world.connection().message(**OUTSIDE).rcpt(NEWS).action is Action.REJECT
    assert world.connection().message(**OUTSIDE).rcpt("forged@example.org").action is Action.ACCEPT
    elsewhere = world.connection(other).message(**OUTSIDE)
    assert elsewhere.rcpt(NEWS).action is Action.ACCEPT
    for daemon in (world.daemon, other):
        world.run(daemon.seen.refresh(world.clock.now()))
    assert elsewhere.rcpt(NEWS).action is Action.REJECT


@pytest.mark.parametrize(
    ("outside_hours", "action"), [(Action.ACCEPT, None), (Action.DEFER, Action.DEFER), (Action.REJECT, Action.REJECT)]
)
def test_a_list_that_is_too_large_for_this_hour(
    world: World, shipped: Config, outside_hours: Action, action: Action | None
) -> None:
    """Takes the post, which waits in the fan-out, or names the next opening, from which on it takes posts."""
    site = on(shipped, known=950)
    world.config = replace(site, lists=replace(site.lists, outside_hours=outside_hours))
    message = world.connection().message(**OUTSIDE)
    verdict, own = message.rcpt(NEWS), world.connection().message(**OWN).rcpt(NEWS)

    assert verdict.action is (action or Action.ACCEPT)
    if action is not None:
        assert verdict.text == f"{CLOSED}; it can from {OPENING} on"
        assert own.text == (
            "Limit list-off-peak: news@example.org has 950 addresses, 900 are allowed on plan shared; "
            f"mail flows from {OPENING} on"
        )
    world.advance(OPENS - START)
    assert message.rcpt(NEWS).action is Action.ACCEPT


@pytest.mark.parametrize("outside_hours", [Action.ACCEPT, Action.DEFER])
def test_what_is_too_large_at_any_hour_is_refused_in_whichever(
    world: World, shipped: Config, outside_hours: Action
) -> None:
    """It is not told to come again."""
    site = on(shipped, known=1001)
    world.config = replace(site, lists=replace(site.lists, outside_hours=outside_hours))
    assert world.connection().message(**OWN).rcpt(NEWS).text == TOLD


def test_another_plan_opens_the_door(world: World, shipped: Config) -> None:
    """T18: where no limit of size is in force, nothing is asked."""
    world.config = on(shipped, "dedicated", known=50_000)
    assert world.connection().message(**OUTSIDE).rcpt(NEWS).action is Action.ACCEPT
    assert world.ops == []


@pytest.mark.parametrize(
    "site",
    [
        closed(mode=Mode.OBSERVE),
        closed(exempt=Exempt(recipients=("news@*",))),
        closed(domains=["example.net"]),
    ],
    ids=["mode observe", "exempt", "not hosted here"],
)
def test_what_is_no_door(world: World, site: Config) -> None:
    """Nothing is looked at."""
    world.config = site
    assert world.connection().message(**OUTSIDE).rcpt(NEWS).action is Action.ACCEPT
    assert world.ops == []


def test_a_door_is_shut_where_charges_come_at_the_end_too(world: World) -> None:
    """With charge_at: end-of-message, which knows no sizes, what is suspended is told; all else goes on."""
    world.config = closed(1000, accounts={"charge_at_end": True, "settle_at_end": False})
    message = world.connection().message(**OWN)
    assert message.rcpt(NEWS).action is Action.ACCEPT
    assert world.ops == [Op.PEEK]


@pytest.mark.parametrize("known_here", [True, False])
def test_a_list_of_a_suspended_account_takes_no_posts(world: World, known_here: bool) -> None:
    """By the mirror, or by the store that is asked anyway; whoever else is written to there receives."""
    world.config = closed(10)
    now = world.clock.now()
    suspended = Suspended("example.org", "domain", "example.org", now, 0, "root (uid 0)", "ticket", REF)
    world.run((world.daemon if known_here else world.start() and world.start()).suspensions.put(suspended))
    message = world.connection().message(**OUTSIDE)

    assert message.rcpt(NEWS).text == f"{CLOSED}; ref {REF}"
    assert world.ops == ([] if known_here else [Op.PEEK])
    assert message.rcpt("alice@example.org").action is Action.ACCEPT


def test_the_door_stands_open_while_the_store_is_away(world: World) -> None:
    """The fan-out is judged then, when the store is back."""
    world.config = closed()
    world.daemon.store.fail_next = True
    assert world.connection().message(**OWN).rcpt(NEWS).action is Action.ACCEPT
    assert world.used() == 1


def test_an_author_who_hangs_up_meanwhile_is_charged_nothing(world: World) -> None:
    """Nobody would give it back."""
    world.config = closed(1000)
    service, conversation, heard = world.daemon.service, world.connection().conversation, list[Verdict | None]()

    async def hang_up() -> None:
        service.decide(conversation, asked(**OWN, recipient=NEWS), heard.append)
        service.closed(conversation, by_us=False)

    world.run(hang_up())
    assert world.used() == 0
    assert (world.ops, heard) == ([Op.PEEK], [None])


def test_a_family_that_is_too_large_is_named(world: World) -> None:
    """At the door and in the fan-out: the lists that were taken together, as far as they are known."""
    family = size("list-family", 30, Per.LIST_FAMILY)
    world.config = config(family, lists=Lists(contexts=frozenset({"mailman"}), seen_slack=0))
    mail(world, 25, name="news1")
    mail(world, 25, first=25, name="news2")
    world.advance(2 * HOUR)
    verdict = world.connection().message(**OWN).rcpt("news1@example.org")
    assert verdict.text == (
        "Limit list-family: news1, news2 together have 31 addresses, 30 are allowed on plan shared"
    )
    mail(world, 25, name="news1")
    refused = next(one for one in reversed(world.heard.verdicts) if one.action is Action.DEFER)
    assert refused.text.startswith("Limit list-family: news1, news2 together have 31 addresses")




@pytest.mark.parametrize("policy", [Subscription.OPEN, Subscription.CONFIRM])
def test_a_list_that_lets_anybody_in_is_told_at_the_door(world: World, policy: Subscription) -> None:
    """T11: where its roster says so."""
    world.config = config(size("list-opt-in", 50, unconfirmed=True))
    world.daemon.service.enrolled({NEWS: RosterList(51, policy)})
    verdict = world.connection().message(**OWN).rcpt(NEWS)
    told = "has 51 addresses that nobody had to confirm, 50 are allowed on plan shared"
    assert verdict.text == ("" if policy.confirms else f"Limit list-opt-in: {NEWS} {told}")
