"""What Postfix hears, what it costs to say it, and under which Config."""

from dataclasses import replace
from typing import Any

import pytest

from policyd.conf.away import WhenDown
from policyd.conf.schema import Config, Exempt, StoreSettings
from policyd.errors import StoreUnavailable
from policyd.model import UNLISTED, Action, Counts, Mode, Per, Recipients, TrafficKind, Verdict
from policyd.policy.decide import ACCEPT
from policyd.service import STORE_DOWN
from policyd.store.base import Op
from tests.support.config import UNLISTED_HOURLY, asked, config, rate
from tests.support.deciding import HOST, PATIENCE, World

LOCAL: dict[str, Any] = {"client_address": "127.0.0.1", "sasl_username": "", "sender": "www@example.org"}
INBOUND: dict[str, Any] = {"sasl_username": "", "sender": "alice@example.org", "recipient": "bob@example.net"}
NOWHERE = "unix:///nonexistent/redis.sock"

COSTS_NOTHING: dict[str, tuple[Config, dict[str, Any]]] = {
    "inbound mail with a spoofed sender": (config(), INBOUND),
    "a null sender from a local client": (config(rate(), UNLISTED_HOURLY), LOCAL | {"sender": ""}),
    "an exempt recipient": (config(exempt=Exempt(recipients=("*@remote.test",))), {}),
    "an exempt login": (config(exempt=Exempt(logins=("alice@*",))), {}),
    "no limit but unlimited ones": (config(rate(max=None)), {}),
    "a hosted recipient where limits look at remote ones": (
        config(rate(recipients=Recipients.REMOTE)),
        {"recipient": "bob@example.net"},
    ),
    "traffic that no limit looks at": (config(rate(traffic=[TrafficKind.SCRIPT])), {}),
    "CONNECT": (config(), {"protocol_state": "CONNECT", "instance": ""}),
    "MAIL": (config(), {"protocol_state": "MAIL"}),
    "DATA": (config(), {"protocol_state": "DATA"}),
    "VRFY": (config(), {"protocol_state": "VRFY"}),
    "nothing at all": (config(), {"protocol_state": "", "recipient": "", "instance": "", "client_address": ""}),
}


@pytest.mark.parametrize(("site", "said"), COSTS_NOTHING.values(), ids=COSTS_NOTHING)
@pytest.mark.parametrize("up", [True, False], ids=["store up", "store down"])
def test_a_request_that_charges_nothing_makes_no_store_call(
    world: World, site: Config, said: dict[str, Any], up: bool
) -> None:
    """It is accepted without asking the store, whatever Redis does; so is the end of its message."""
    world.config = site
    world.url = world.url if up else NOWHERE
    message = world.connection().message(**said)
    assert message.rcpt().action is Action.ACCEPT
    if "protocol_state" not in said:
        assert message.end(1, said.get("recipient", "r0@remote.test")).action is Action.ACCEPT
    assert world.ops == []


# the Unix user


def test_a_unix_user_is_charged_for_what_he_sends_in_anothers_name(world: World) -> None:
    """The user behind the client's port pays, at the end of the message too; only local senders are looked up."""
    world.config = config(accounts={"local_users": {"web7": "example.net"}})
    world.daemon.users.names[43210] = "web7"
    message = world.connection().message(**LOCAL)
    message.to("a@remote.test", "b@remote.test", "b@remote.test")
    message.end(3)
    assert (world.used(account="example.net"), world.used()) == (3, 0)
    assert set(world.daemon.users.asked) == {(HOST, 43210)}
    world.daemon.users.asked.clear()
    for said in ({}, INBOUND, LOCAL | {"sender": ""}):
        world.connection().message(**said).many(2)
    assert world.daemon.users.asked == []


# over the limit


def test_the_recipient_over_the_max_is_refused_and_the_earlier_ones_go_through(world: World) -> None:
    """What is refused is not charged; another domain is untouched."""
    world.config = config(rate(max=3))
    message = world.connection().message()
    assert message.many(5) == [Action.ACCEPT] * 3 + [Action.REJECT] * 2
    assert message.end(3).action is Action.ACCEPT
    assert world.connection().message(sasl_username="bob@example.net").many(1) == [Action.ACCEPT]
    assert (world.used(), world.used(account="example.net")) == (3, 1)


def test_a_refusal_explains_itself(world: World) -> None:
    """One line says which limit, how much of it is used, when mail flows again, and a reference that stays."""
    world.config = config(rate(max=1))
    message = world.connection().message()
    message.many(1)
    first, second = message.rcpt(), message.rcpt()
    start, _, ref = first.text.rpartition(" ")
    assert start == (
        "Limit domain-hourly: 1 of 1 recipients in 1h used; mail flows again at 2026-05-28T21:26:40+00:00; ref"
    )
    assert second.text.endswith(f"ref {ref}")
    world.advance(3_600_000)
    assert message.many(1) == [Action.ACCEPT]


def test_several_limits_are_charged_all_or_none(world: World) -> None:
    """A user over his own limit spends nothing of his domain's."""
    world.config = config(rate(max=5), rate("user-hourly", 2, per=Per.USER))
    assert world.connection().message().many(4) == [Action.ACCEPT] * 2 + [Action.REJECT] * 2
    assert world.connection().message(sasl_username="bob@example.org").many(2) == [Action.ACCEPT] * 2
    assert world.connection().message(sasl_username="carl@example.org").many(2) == [Action.ACCEPT, Action.REJECT]
    users = [world.used("user-hourly", subject=f"{name}@example.org") for name in ("alice", "bob", "carl")]
    assert (world.used(), users) == (5, [2, 2, 1])


def test_invented_senders_share_a_limit_that_defers(world: World) -> None:
    """A script that invents sender domains gets no fresh budget for each, and no 5xx."""
    world.config = config(rate(), rate("unlisted-hourly", 3, traffic=[TrafficKind.RELAYED]))
    connection = world.connection()
    answers = [connection.message(**LOCAL | {"sender": f"x@d{number}.test"}).many(1) for number in range(5)]
    assert answers == [[Action.ACCEPT]] * 3 + [[Action.DEFER]] * 2
    assert world.used("unlisted-hourly", UNLISTED) == 3


def test_observe_refuses_nothing_and_counts_all(world: World) -> None:
    """An observed limit counts past its max and notes the episode."""
    world.config = config(rate(max=2), mode=Mode.OBSERVE)
    assert world.connection().message().many(4) == [Action.ACCEPT] * 4
    assert world.used() == 4
    episodes = [outcome.usages[0].episode for outcome in world.heard.outcomes if outcome]
    assert [episode is not None for episode in episodes] == [False, False, True, True]


def test_max_0_lets_nothing_through(world: World) -> None:
    """The first recipient is refused, and told so."""
    world.config = config(rate(max=0))
    verdict = world.connection().message().rcpt()
    assert (verdict.action, verdict.text[:-10]) == (
        Action.REJECT,
        "Limit domain-hourly: no recipients allowed here; ref ",
    )


# asked twice


@pytest.mark.parametrize("elsewhere", [False, True], ids=["same daemon", "second daemon"])
def test_what_postfix_asks_twice_is_charged_once(world: World, elsewhere: bool) -> None:
    """A request that is sent again after a timeout, on another connection, gets the first answer and no charge."""
    world.config = config(rate(max=2))
    message = world.connection().message()
    message.to("a@remote.test")
    again = message.on(world.connection(world.start() if elsewhere else None))
    assert again.to("a@remote.test", "b@remote.test") == [Action.ACCEPT] * 2
    refused = again.rcpt("c@remote.test")
    repeated = message.on(world.connection()).rcpt("c@remote.test")
    assert repeated == refused
    assert (refused.action, world.used()) == (Action.REJECT, 2)
    again.end(2)
    assert world.used() == 2


def test_a_repeated_answer_survives_a_restart(world: World) -> None:
    """A daemon that was killed after charging and before answering is asked again after its restart."""
    message = world.connection().message()
    world.daemon.store.lose_next = True
    message.to("a@remote.test")
    world.restart()
    again = message.on(world.connection())
    assert again.to("a@remote.test") == [Action.ACCEPT]
    assert world.used() == 1
    assert [outcome.repeated for outcome in world.heard.outcomes if outcome] == [True]
    world.shown()
    again.to("b@remote.test")
    again.connection.message().many(1)
    assert world.used() == 1


@pytest.mark.parametrize("other", [(rate(max=1), rate("b", 1), rate("c", 1)), ()], ids=["more limits", "no limits"])
@pytest.mark.parametrize("refused", [False, True], ids=["admitted", "refused"])
def test_a_repeat_under_another_configuration_is_answered(world: World, other: Any, refused: bool) -> None:
    """A reload between a request and its repetition may change the limits; nothing is charged twice."""
    world.config = config(rate(max=1), rate("a", 5))
    message = world.connection().message()
    message.to(*(["a@remote.test"] if refused else []), "b@remote.test")
    world.daemon.service.configure(config(*other or (rate(max=None),)))
    again = message.on(world.connection()).rcpt("b@remote.test")
    assert again.action is (Action.REJECT if refused and other else Action.ACCEPT)
    assert world.used() == 1


# without the store

DOWN = [
    (WhenDown.ACCEPT, config(), Action.ACCEPT),
    (WhenDown.DEFER, config(), Action.DEFER),
    (WhenDown.DEFER, config(mode=Mode.OBSERVE), Action.ACCEPT),
    (WhenDown.DEFER, config(rate(), rate("messages", mode=Mode.OBSERVE)), Action.DEFER),
    (WhenDown.DEFER, config(rate(over=Action.ACCEPT), rate("messages", mode=Mode.OBSERVE)), Action.ACCEPT),
]


@pytest.mark.parametrize(
    ("when_down", "site", "expected"),
    DOWN,
    ids=["accept", "defer", "file in mode observe", "one limit in mode observe", "all limits only count"],
)
def test_without_the_store_the_admin_has_chosen(
    world: World, when_down: WhenDown, site: Config, expected: Action
) -> None:
    """``when_down`` decides what cannot be counted; where nothing is ever refused, nothing is deferred."""
    world.config = with_store(site, when_down)
    world.url = NOWHERE
    message = world.connection().message()
    assert message.rcpt() == (STORE_DOWN if expected is Action.DEFER else ACCEPT)
    assert message.end(1).action is Action.ACCEPT
    assert [type(error) for _, error in world.heard.failures] == [StoreUnavailable] * 2
    assert [decision.config for decision in world.heard.decisions] == [world.config] * 2


def with_store(site: Config, when_down: WhenDown) -> Config:
    """Return a Config with another ``store.when_down``."""
    return replace(site, store=StoreSettings(when_down=when_down))


def test_postfix_has_its_answer_before_it_is_noted(world: World) -> None:
    """A fault in metrics or log costs no answer."""
    answers: list[Verdict | None] = []

    def faulty(*_: object) -> None:
        raise ZeroDivisionError

    world.heard.decided = faulty  # type: ignore[method-assign, assignment]
    with pytest.raises(ZeroDivisionError):
        world.daemon.service.decide(world.connection().conversation, asked(), answers.append)
    assert answers == [ACCEPT]


# a reload


def test_a_request_under_way_keeps_its_configuration(world: World) -> None:
    """A reload between asking the store and its answer changes nothing for that request."""
    world.config = config(rate(max=1, over=Action.DEFER))
    message = world.connection().message()
    message.many(1)
    after = config(rate("other", 7), mode=Mode.OBSERVE)
    found = message.rcpt(meanwhile=lambda: world.daemon.service.configure(after))
    assert (found.action, found.text[:21]) == (Action.DEFER, "Limit domain-hourly: ")
    assert world.heard.decisions[-1].config is world.config
    assert message.many(1) == [Action.ACCEPT]
    assert world.heard.decisions[-1].config is after


# final charges


def test_with_settle_recipient_charges_are_final_and_the_end_costs_no_call(world: World) -> None:
    """Nothing is settled and nothing given back, however the message ends."""
    world.config = config(rate(), rate("messages", counts=Counts.MESSAGES), accounts={"settle_at_end": False})
    connection = world.connection()
    message = connection.message()
    message.to("a@remote.test", "b@remote.test", "b@remote.test")
    assert message.end(1).action is Action.ACCEPT
    connection.message().many(1)
    connection.close()
    world.advance(2 * PATIENCE)
    assert (world.used(), world.used("messages"), world.ops) == (3, 2, [Op.CHARGE] * 4)
    assert world.daemon.service._messages._open == {}


# charged at the end


@pytest.mark.parametrize("settle", [True, False])
def test_with_charge_at_end_of_message_the_whole_message_is_charged_or_refused(world: World, settle: bool) -> None:
    """Recipients cost nothing and no call; the end charges them all, once, or none."""
    accounts = {"charge_at_end": True, "settle_at_end": settle}
    world.config = config(rate(max=5), accounts=accounts)
    connection = world.connection()
    first, second = connection.message(), connection.message()
    assert (first.many(3), world.ops) == ([Action.ACCEPT] * 3, [])
    assert [first.end(3).action, first.on(world.connection()).end(3).action] == [Action.ACCEPT] * 2
    assert second.many(3) == [Action.ACCEPT] * 3
    refused = second.end(3)
    assert (refused.action, refused.text[:39]) == (Action.REJECT, "Limit domain-hourly: 3 of 5 recipients ")
    connection.close()
    world.advance(PATIENCE)
    assert (world.used(), world.ops) == (3, [Op.CHARGE] * 3)


def test_a_message_that_can_never_fit_is_refused_for_good(world: World) -> None:
    """500 recipients at once against 400: a user hears that it is final, a script is deferred."""
    world.config = config(accounts={"charge_at_end": True})
    user = world.connection().message().end(500)
    assert (user.action, user.text[:-10]) == (
        Action.REJECT,
        "Limit domain-hourly: 500 recipients at once can never fit 400 in 1h; ref ",
    )
    assert world.connection().message(**LOCAL).end(500).action is Action.DEFER
    assert world.used() == 0


def test_a_message_under_way_when_charge_at_changes_is_charged_once(world: World) -> None:
    """What was charged at RCPT is settled at its end, though messages are charged there from now on."""
    message = world.connection().message()
    message.many(3)
    world.daemon.service.configure(config(accounts={"charge_at_end": True}))
    message.end(3)
    assert world.used() == 3
