"""Who is suspended sends nothing, on any daemon and without the store, and goes on to receive."""

from dataclasses import replace
from typing import Any

import pytest

from policyd.conf.away import WhenDown
from policyd.conf.listed import Lists
from policyd.conf.schema import Config, Exempt, StoreSettings
from policyd.errors import StoreUnavailable
from policyd.model import Action, Mode, Suspension, TrafficKind, Verdict
from policyd.store.base import Op
from policyd.suspension import Suspended
from tests.support.config import UNLISTED_HOURLY, config, rate
from tests.support.deciding import Daemon, World

HOUR = 3_600_000
REF = "7KQ2M0XW9A"

LOGIN: dict[str, Any] = {}
SCRIPT: dict[str, Any] = {"client_address": "127.0.0.1", "sasl_username": "", "sender": "alice@example.org"}
LIST: dict[str, Any] = {"sasl_username": "", "sender": "news-bounces@example.org", "policy_context": "mailman"}

REFUSED = Verdict(
    Action.REJECT,
    f"Sending is suspended; please contact your provider; ref {REF}",
    suspended=Suspension("domain", 0, REF),
)


def suspend(world: World, name: str = "domain", account: str = "example.org", lasts: int = 0) -> None:
    """Suspend somebody by telling the first daemon."""
    now = world.clock.now()
    until = now + lasts if lasts else 0
    suspended = Suspended(account, name, account, now, until, "root (uid 0)", "ticket 4711", REF)
    world.run(world.daemon.suspensions.put(suspended))


def refresh(world: World, daemon: Daemon) -> None:
    """Do what a daemon does once a second."""
    world.run(daemon.suspensions.refresh(world.clock.now()))


def test_a_suspended_domain_is_refused_at_the_next_request(world: World) -> None:
    """The text has the reference, and neither the reason nor a name; nothing is charged."""
    message = world.connection().message()
    assert message.rcpt().action is Action.ACCEPT

    suspend(world)

    assert message.rcpt() == REFUSED
    assert world.used() == 1


def test_it_is_in_force_on_every_daemon_at_once(world: World) -> None:
    """The script says so, whatever the other daemon's mirror knows."""
    other = world.start()
    suspend(world)

    assert world.connection(other).message().rcpt() == REFUSED


def test_it_ends_at_its_moment(world: World) -> None:
    """To the millisecond, and the text says when."""
    suspend(world, lasts=HOUR)
    message = world.connection().message()
    assert message.rcpt().text == f"Sending is suspended until 2026-05-28T21:26:40+00:00; ref {REF}"

    world.advance(HOUR - 1)
    assert message.rcpt().action is Action.REJECT
    world.advance(1)
    assert message.rcpt().action is Action.ACCEPT


def test_it_ends_when_it_is_resumed(world: World) -> None:
    """At the next request."""
    suspend(world)
    message = world.connection().message()
    assert message.rcpt().action is Action.REJECT

    ended = world.run(world.daemon.suspensions.end("example.org", "domain"))

    assert ended is not None
    assert (ended.why, ended.who, ended.ref) == ("ticket 4711", "root (uid 0)", REF)
    assert message.rcpt().action is Action.ACCEPT
    assert world.run(world.daemon.suspensions.end("example.org", "domain")) is None


@pytest.mark.parametrize(
    ("sent", "expected"),
    [(LOGIN, Action.REJECT), (SCRIPT, Action.DEFER), (LIST, Action.DEFER)],
    ids=["login", "script", "list"],
)
def test_users_hear_550_and_what_has_no_reader_450(world: World, sent: dict[str, Any], expected: Action) -> None:
    """A list's members are not punished, and a script's mail waits."""
    world.config = config(lists=Lists(contexts=frozenset({"mailman"})))
    suspend(world)

    assert world.connection().message(**sent).rcpt().action is expected


@pytest.mark.parametrize(
    ("name", "stopped"),
    [
        ("user:alice@example.org", ["login", "script"]),
        ("mailbox:alice@example.org", ["login"]),
        ("list:news@example.org", ["list"]),
        ("user:bob@example.org", []),
        ("list:other@example.org", []),
    ],
)
def test_a_narrower_suspension_stops_no_more_than_it_names(world: World, name: str, stopped: list[str]) -> None:
    """The rest of the domain goes on."""
    world.config = config(lists=Lists(contexts=frozenset({"mailman"})))
    suspend(world, name)
    sent = {"login": LOGIN, "script": SCRIPT, "list": LIST}
    found = [
        kind for kind, said in sent.items() if world.connection().message(**said).rcpt().action is not Action.ACCEPT
    ]

    assert found == stopped


def test_receiving_goes_on(world: World) -> None:
    """Mail from outside to the suspended domain is not even looked up; so is mail of others to it."""
    suspend(world)

    inbound = {"sasl_username": "", "sender": "x@remote.test"}
    assert world.connection().message(**inbound).rcpt("alice@example.org").action is Action.ACCEPT
    assert world.ops == []
    other = {"sasl_username": "carol@example.net"}
    assert world.connection().message(**other).rcpt("alice@example.org").action is Action.ACCEPT


DOOR: dict[str, tuple[dict[str, Any], Action]] = {
    "from outside": ({"sasl_username": "", "sender": "x@remote.test"}, Action.REJECT),
    "a login of another customer": ({"sasl_username": "carol@example.net"}, Action.REJECT),
    "a login of its own domain": (LOGIN, Action.REJECT),
    "a script": (SCRIPT, Action.DEFER),
    "another list": (LIST | {"sender": "other-bounces@example.net"}, Action.DEFER),
}


@pytest.mark.parametrize(("sent", "expected"), DOOR.values(), ids=DOOR)
@pytest.mark.parametrize("charge_at_end", [False, True])
def test_a_suspended_list_takes_no_posts(
    world: World, sent: dict[str, Any], expected: Action, charge_at_end: bool
) -> None:
    """At its door the author is told, without its reason; the store is not asked, and other addresses go on."""
    accounts = {"charge_at_end": charge_at_end, "settle_at_end": not charge_at_end}
    world.config = config(lists=Lists(contexts=frozenset({"mailman"})), accounts=accounts)
    suspend(world, "list:news@example.org")
    message = world.connection().message(**sent)

    verdict = message.rcpt("News+x@Example.ORG")
    assert (verdict.action, verdict.text) == (expected, f"This list cannot take posts now; ref {REF}")
    assert world.ops == []
    assert message.rcpt("news-owner@example.org").action is Action.ACCEPT
    world.run(world.daemon.suspensions.end("example.org", "list:news@example.org"))
    assert message.rcpt("news@example.org").action is Action.ACCEPT


def test_a_suspended_domain_can_still_be_written_to(world: World) -> None:
    """What is suspended is its sending; so is a list of it."""
    suspend(world)

    inbound = {"sasl_username": "", "sender": "x@remote.test"}
    assert world.connection().message(**inbound).to("news@example.org", "alice@example.org") == [Action.ACCEPT] * 2


def test_relayed_mail_is_nobodys_to_suspend(world: World) -> None:
    """A name that was made up is not what is charged."""
    world.config = config(rate(), UNLISTED_HOURLY)
    suspend(world, account="(unlisted)")

    assert world.connection().message(**SCRIPT | {"sender": "x@elsewhere.test"}).rcpt().action is Action.ACCEPT


UNCHARGED: dict[str, Config] = {
    "an exempt login": config(exempt=Exempt(logins=("alice@*",))),
    "an exempt recipient elsewhere": config(exempt=Exempt(recipients=("*@remote.test",))),
    "no limit": config(rate(max=None)),
    "a limit that looks at other traffic": config(rate(traffic=[TrafficKind.LIST])),
}


@pytest.mark.parametrize("site", UNCHARGED.values(), ids=UNCHARGED)
def test_it_wins_over_what_is_exempt_and_where_no_limit_looks(world: World, site: Config) -> None:
    """The store is not asked even then: the mirror knows it, at once on the daemon that was told."""
    world.config = site
    suspend(world)

    assert world.connection().message().rcpt() == REFUSED
    assert world.ops == []
    other = world.start()
    refresh(world, other)
    assert world.connection(other).message().rcpt() == REFUSED


@pytest.mark.parametrize(
    ("recipient", "expected"),
    [
        ("postmaster@example.net", Action.ACCEPT),
        ("Postmaster@mx.host.test", Action.ACCEPT),
        ("postmaster@remote.test", Action.REJECT),
        ("bob@example.net", Action.REJECT),
    ],
)
def test_who_is_suspended_may_write_to_the_postmaster_of_this_host(
    world: World, recipient: str, expected: Action
) -> None:
    """An exempt recipient of a hosted domain or of the host itself, no other."""
    exempt = Exempt(recipients=("postmaster@*",))
    world.config = config(exempt=exempt, accounts={"local_names": frozenset({"mx.host.test"})})
    suspend(world)

    assert world.connection().message().rcpt(recipient).action is expected


def test_it_holds_in_mode_observe(world: World) -> None:
    """The mode is about limits; a suspension is somebody's word."""
    world.config = config(mode=Mode.OBSERVE)
    suspend(world)

    assert world.connection().message().rcpt() == REFUSED


def test_at_the_end_of_a_message_that_is_charged_there(world: World) -> None:
    """With charge_at: end-of-message the whole message is refused."""
    world.config = config(accounts={"charge_at_end": True, "settle_at_end": False})
    suspend(world)
    message = world.connection().message()

    assert message.rcpt().action is Action.ACCEPT
    assert message.end(1) == REFUSED
    assert world.ops == [Op.CHARGE]


def test_a_message_that_charges_nothing_at_its_end_makes_no_call(world: World) -> None:
    """Inbound mail never asks the store there, either."""
    world.config = config(accounts={"charge_at_end": True, "settle_at_end": False})
    message = world.connection().message(sasl_username="", sender="x@remote.test")

    assert message.end(1).action is Action.ACCEPT
    assert world.ops == []


@pytest.mark.parametrize("when_down", [WhenDown.ACCEPT, WhenDown.DEFER])
def test_it_holds_while_the_store_is_away(world: World, when_down: WhenDown) -> None:
    """The mirror answers; others are answered as the admin has chosen."""
    world.config = replace(config(), store=StoreSettings(when_down=when_down))
    suspend(world)
    world.daemon.store.fail_next = True
    assert world.connection().message().rcpt() == REFUSED
    verdict, error = world.heard.failures[0]
    assert (verdict, isinstance(error, StoreUnavailable)) == (REFUSED, True)

    world.daemon.store.fail_next = True
    assert world.connection().message(sasl_username="carol@example.net").rcpt().action.value == when_down.value


def test_a_repeated_request_is_answered_as_the_first_time(world: World) -> None:
    """Postfix asks again after the suspension about a recipient that was accepted before it."""
    message = world.connection().message()
    assert message.rcpt("x@remote.test").action is Action.ACCEPT

    suspend(world)

    assert message.on(world.connection()).rcpt("x@remote.test").action is Action.ACCEPT
