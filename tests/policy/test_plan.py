"""What a request costs: one recipient at RCPT, a whole message at its end."""

from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policyd.conf.listed import Lists
from policyd.conf.schema import Config, Exempt, Schedule
from policyd.model import (
    UNLISTED,
    Action,
    Charge,
    CounterType,
    Counts,
    Per,
    PolicyRequest,
    Recipients,
    Sure,
    Traffic,
    TrafficKind,
)
from policyd.policy.plan import _MOST_STANDINGS, MOST_BYTES, MOST_RECIPIENTS, ChargePlan, Owner, Planner
from tests.support.clock import START
from tests.support.config import HOUR, UNLISTED_HOURLY, Site, asked, by_login, config, locally, networks, rate

ALWAYS = Schedule("always", ZoneInfo("Etc/UTC"), (((0, 1440),),) * 7)
REMOTE = rate("remote-hourly", recipients=Recipients.REMOTE)


def plan(config: Config, **request: object) -> ChargePlan:
    """Return the plan of a recipient of a message sent with a login."""
    return Planner(config).plan(by_login(**{"login": "alice@example.org", **request}), START)  # type: ignore[arg-type]


def at_end(config: Config, recipients: int, **request: object) -> ChargePlan:
    """Return the plan of a message sent with a login, at its END-OF-MESSAGE."""
    request = {"protocol_state": "END-OF-MESSAGE", "recipient": "", "recipient_count": recipients, **request}
    return Planner(config).plan_message(by_login(**request), START)  # type: ignore[arg-type]


def owned_by(user: str) -> Owner:
    """Return what says that a Unix user sends."""
    return lambda _: user


def costs(plan: ChargePlan) -> dict[str, int]:
    """Return what is charged to each limit."""
    return {charge.limit: charge.cost for charge in plan.charges}


def test_a_recipient_is_one_unit_of_each_limit_that_looks() -> None:
    """Each limit of the plan is charged for its own subject, beside the limit that it belongs to."""
    domain, user = rate(), rate("user-hourly", 100, per=Per.USER, traffic=[TrafficKind.USER])
    found = plan(config(domain, user))
    assert found.charges == (
        Charge(CounterType.RING, "domain-hourly", "example.org", 1, 400, HOUR),
        Charge(CounterType.LOG, "user-hourly", "alice@example.org", 1, 100, HOUR),
    )
    assert (found.limits, found.terms.plan, found.spared) == ((domain, user), "shared", False)


def test_a_message_is_charged_for_all_its_recipients() -> None:
    """At END-OF-MESSAGE the cost is Postfix's recipient_count."""
    assert costs(at_end(config(), 7)) == {"domain-hourly": 7}


@pytest.mark.parametrize(
    ("counts", "size", "expected"),
    [
        (Counts.RECIPIENTS, 4000, 1),
        (Counts.MESSAGES, 4000, 1),
        (Counts.BYTES, 4000, 4000),
        (Counts.BYTES, 0, 1),
        (Counts.BYTES, 10**15 - 1, MOST_BYTES),
    ],
    ids=["recipients", "messages", "bytes", "size not declared", "absurd size"],
)
def test_counts_says_what_a_recipient_costs(counts: Counts, size: int, expected: int) -> None:
    """Recipients cost one each; messages and bytes are charged once for a message, by its first recipient."""
    charge = plan(config(rate(counts=counts)), size=size).charges[0]
    assert (charge.cost, charge.once) == (expected, counts is not Counts.RECIPIENTS)


def test_messages_and_bytes_do_not_grow_with_the_recipients() -> None:
    """At END-OF-MESSAGE a message of many recipients is one message of its real size."""
    limits = rate(), rate("messages", counts=Counts.MESSAGES), rate("bytes", counts=Counts.BYTES)
    assert costs(at_end(config(*limits), 9, size=67)) == {"domain-hourly": 9, "messages": 1, "bytes": 67}


def test_more_recipients_than_any_message_has_are_not_counted_one_by_one() -> None:
    """The cost of an absurd recipient_count is bounded, so that no request keeps the store busy."""
    assert costs(at_end(config(), 10**15 - 1)) == {"domain-hourly": MOST_RECIPIENTS}


# what costs nothing


def test_inbound_mail_has_no_charges() -> None:
    """Mail from outside to a hosted mailbox is planned without charges and without terms."""
    found = Planner(config()).plan(asked(recipient="alice@example.org"), START)
    assert (found.traffic.kind, found.charges, found.terms.limits, found.spared) == (TrafficKind.INBOUND, (), (), False)


def test_a_null_sender_from_a_local_client_has_no_charges() -> None:
    """Bounces of this host cost nothing, at RCPT and at the end of the message."""
    planner = Planner(config(rate(), UNLISTED_HOURLY))
    assert planner.plan(locally(""), START).charges == ()
    assert planner.plan_message(locally("", recipient_count=3), START).charges == ()


def test_invented_senders_are_charged_to_one_counter() -> None:
    """All relayed traffic of a host is charged to one subject."""
    planner = Planner(config(rate(), UNLISTED_HOURLY))
    found = {planner.plan(locally(f"x@invented{number}.test"), START).charges for number in range(5)}
    assert found == {(Charge(CounterType.RING, "unlisted-hourly", UNLISTED, 1, 2000, HOUR),)}


def test_an_account_without_limits_has_no_charges_and_is_not_spared() -> None:
    """Where all is unlimited nothing is charged, and no recipient is an exception to that."""
    found = plan(config(rate(max=None)))
    assert (found.charges, found.limits, found.spared) == ((), (), False)


# exempt


@pytest.mark.parametrize(
    ("exempt", "said"),
    [
        (Exempt(recipients=("postmaster@*",)), {"recipient": "Postmaster@Remote.TEST."}),
        (Exempt(recipients=("postmaster@*",)), {"recipient": "postmaster+x@remote.test"}),
        (Exempt(logins=("alice@example.org",)), {"login": "ALICE@example.org"}),
        (Exempt(logins=("*@example.org",)), {"login": "bob@example.org"}),
        (Exempt(logins=("backup",)), {"login": "backup"}),
        (Exempt(logins=("backup@example.net",)), {"login": "backup"}),
        (Exempt(clients=networks("192.0.2.0/24")), {"client_address": "192.0.2.17"}),
    ],
    ids=["recipient", "plus-address", "login", "login pattern", "bare login", "bare login with its domain", "client"],
)
def test_what_is_exempt_costs_nothing(exempt: Exempt, said: dict[str, object]) -> None:
    """No limit looks at exempt recipients, logins and clients."""
    found = plan(config(exempt=exempt, accounts={"default_domain": "example.net"}), **said)
    assert (found.charges, found.spared) == ((), True)


@pytest.mark.parametrize(
    ("exempt", "said"),
    [
        (Exempt(recipients=("postmaster@*",)), {"recipient": "not-postmaster@remote.test"}),
        (Exempt(logins=("alice@example.org",)), {"login": "alice@example.org.test"}),
        (Exempt(clients=networks("192.0.3.0/24")), {"client_address": "192.0.2.17"}),
    ],
    ids=["recipient", "login", "client"],
)
def test_what_is_not_exempt_is_charged(exempt: Exempt, said: dict[str, object]) -> None:
    """A pattern matches the whole address, a network its own clients."""
    assert costs(plan(config(exempt=exempt), **said)) == {"domain-hourly": 1}


def test_an_exempt_login_is_not_had_by_a_sender() -> None:
    """A script that writes an exempt login into MAIL FROM is charged."""
    exempt = Exempt(logins=("alice@example.org",))
    found = Planner(config(exempt=exempt)).plan(locally("alice@example.org"), START)
    assert costs(found) == {"domain-hourly": 1}


@pytest.mark.parametrize(
    ("recipients", "recipient", "expected"),
    [(1, "abuse@remote.test", {}), (2, "", {"domain-hourly": 2}), (1, "x@remote.test", {"domain-hourly": 1})],
    ids=["alone", "among others", "another"],
)
def test_an_exempt_recipient_of_a_whole_message(recipients: int, recipient: str, expected: dict[str, int]) -> None:
    """At END-OF-MESSAGE Postfix names a recipient only when he is the only one."""
    exempt = Exempt(recipients=("abuse@*",))
    assert costs(at_end(config(exempt=exempt), recipients, recipient=recipient)) == expected


# limits that look at remote recipients


@pytest.mark.parametrize(
    ("recipient", "hosted"),
    [
        ("x@remote.test", False),
        ("x@example.net", True),
        ("X+y@Example.NET.", True),
        ("x@news.example.org", True),
        ("x@bad domain", False),
    ],
)
def test_remote_recipients_are_those_that_are_not_hosted_here(recipient: str, hosted: bool) -> None:
    """A limit with ``recipients: remote`` leaves hosted recipients out, aliases too, and keeps note of them."""
    both = config(rate(), REMOTE, accounts={"aliases": {"news.example.org": "example.org"}})
    found = plan(both, recipient=recipient)
    assert costs(found) == {"domain-hourly": 1, "remote-hourly": 0 if hosted else 1}
    assert [charge.skipped for charge in found.charges] == [False, hosted]


def test_a_recipient_that_no_limit_looks_at_costs_nothing() -> None:
    """With remote limits only, a hosted recipient is spared."""
    found = plan(config(REMOTE), recipient="x@example.net")
    assert (found.charges, found.spared) == ((), True)


def test_several_recipients_of_a_message_are_all_counted_as_remote() -> None:
    """At END-OF-MESSAGE several recipients are not named, so none is left out."""
    assert costs(at_end(config(REMOTE), 3)) == {"remote-hourly": 3}


# more


def test_a_message_keeps_what_its_recipients_were_attributed_to() -> None:
    """The end of a message is charged like its recipients, though its own attributes say otherwise."""
    known = Traffic(TrafficKind.LIST, "example.net", Sure.VERIFIED, "news@example.net", "news@example.net")
    found = Planner(config()).plan_message(asked(recipient_count=5), START, known=known)
    assert (found.traffic, found.charges[0].subject, found.charges[0].cost) == (known, "example.net", 5)


def test_max_0_is_charged_like_any_other() -> None:
    """A limit whose max is 0 looks at everything, and lets nothing fit."""
    assert plan(config(rate(max=0))).charges[0][3:5] == (1, 0)


def test_observed_charges_are_marked() -> None:
    """A limit that only counts is charged all the same."""
    charge = plan(config(rate(over=Action.ACCEPT))).charges[0]
    assert (charge.cost, charge.observed) == (1, True)


@pytest.mark.parametrize(
    "login", ["alice@bücher.test", "Alice+x@BÜCHER.test.", '"alice"@xn--bcher-kva.test', "ALICE@XN--BCHER-KVA.TEST"]
)
def test_all_ways_to_write_a_login_are_charged_to_one_counter(login: str) -> None:
    """Case, trailing dot, U- and A-label, plus-address and quotes give no second budget."""
    found = plan(config(rate(), rate("user-hourly", per=Per.USER)), login=login)
    assert [charge.subject for charge in found.charges] == ["xn--bcher-kva.test", "alice@xn--bcher-kva.test"]


wire_text = st.binary(max_size=30).map(lambda raw: raw.decode("utf-8", "surrogateescape"))


@given(
    login=wire_text, recipient=wire_text, sender=wire_text, count=st.integers(0, 10**15), size=st.integers(0, 10**15)
)
def test_every_saidhas_a_plan(login: str, recipient: str, sender: str, count: int, size: int) -> None:
    """Nothing that Postfix can send crashes the planner; no cost is negative or without bound."""
    everything = Exempt(("abuse@*",), ("x@*",), networks("192.0.2.0/28"))
    planner = Planner(config(REMOTE, rate("bytes", counts=Counts.BYTES), UNLISTED_HOURLY, exempt=everything))
    for client in ("127.0.0.1", "192.0.2.17"):
        request = asked(sender=sender, recipient=recipient, sasl_username=login, recipient_count=count, size=size)
        request = request._replace(client_address=client)
        for found in (planner.plan(request, START), planner.plan_message(request, START)):
            assert len(found.limits) == len(found.charges)
            assert all(0 <= charge.cost <= MOST_BYTES for charge in found.charges)


few = st.sampled_from(["", "alice", "alice@example.org", "bob@example.net", "x@invented.test", "abuse@remote.test"])
requests = st.builds(
    asked,
    sasl_username=few,
    sender=few,
    recipient=few,
    client_address=st.sampled_from(["127.0.0.1", "192.0.2.17", "198.51.100.1"]),
    policy_context=st.sampled_from(["", "mailman", "local-login"]),
    server_port=st.sampled_from([25, 587]),
    size=st.integers(0, 3),
    recipient_count=st.integers(0, 2),
)
users = st.sampled_from(["", "web7", "list", "root"])
SITES = [
    {"limits": (rate(), UNLISTED_HOURLY), "lists": Lists(frozenset({"mailman", "25"}), frozenset({"list"}))},
    {
        "limits": (rate(), rate("client", 5, per=Per.CLIENT)),
        "exempt": Exempt(("abuse@*",), (), networks("198.51.100.0/24")),
    },
    {"limits": (rate(), REMOTE, rate("bytes", counts=Counts.BYTES)), "exempt": Exempt(logins=("alice",))},
    {"limits": (rate(lifted_by="always"), rate("messages", counts=Counts.MESSAGES)), "schedules": (ALWAYS,)},
]


@given(st.lists(st.tuples(requests, users), min_size=2, max_size=12), st.sampled_from(SITES), st.booleans())
def test_what_is_remembered_of_a_sender_changes_no_plan(
    told: list[tuple[PolicyRequest, str]], site: dict[str, Any], verified: bool
) -> None:
    """A planner that has seen many requests plans each as one that has seen none."""
    contexts = frozenset({"local-login"}) if verified else frozenset()
    accounts = {"default_domain": "example.net", "verified_contexts": contexts, "local_users": {"web7": "example.net"}}
    made = Site(**site, accounts=accounts).config()
    planner = Planner(made)
    for request, user in told:
        owner = owned_by(user)
        assert planner.plan(request, START, owner) == Planner(made).plan(request, START, owner)
        assert planner.plan_message(request, START, owner) == Planner(made).plan_message(request, START, owner)


def test_one_sender_is_another_account_for_another_unix_user() -> None:
    """What is remembered of a sender is remembered for the user who sent."""
    accounts = {"local_users": {"web7": "example.net", "web8": "example.org"}}
    planner = Planner(config(accounts=accounts))
    users = ["web7", "web8", "", "web7"]
    found = [planner.plan(locally("a@example.org"), START, owned_by(user)).traffic for user in users]
    assert [traffic.account for traffic in found] == ["example.net", "example.org", "example.org", "example.net"]
    assert [traffic.sure for traffic in found] == [Sure.VERIFIED, Sure.VERIFIED, Sure.CLAIMED, Sure.VERIFIED]


def test_only_so_many_senders_are_remembered() -> None:
    """What is remembered of senders is bounded, and forgetting changes no plan."""
    planner = Planner(config())
    first = planner.plan(by_login(), START)
    for number in range(_MOST_STANDINGS):
        planner.plan(asked(sender=f"{number}@remote.test"), START)
    assert len(planner._standings) <= _MOST_STANDINGS
    assert planner.plan(by_login(), START) == first
