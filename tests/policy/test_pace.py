"""What a pace charges, by which transport Postfix keeps it, and what is said of it."""

from ipaddress import IPv4Network
from typing import Any

import pytest

from policyd.conf.listed import Lists
from policyd.conf.schema import Transport
from policyd.model import (
    Action,
    Charge,
    CounterType,
    Episode,
    Mode,
    Outcome,
    Per,
    PolicyRequest,
    Recipients,
    TrafficKind,
    Usage,
)
from policyd.policy.decide import accepted, decide
from policyd.policy.pace import destination, longest_wait, without_wait
from policyd.policy.plan import ChargePlan, Planner
from policyd.wire.postfix import action_for, reply_to
from tests.support.clock import START
from tests.support.config import by_login, config, locally, pace, rate

SLOW = Transport("slow", IPv4Network("127.0.2.0/24"), 2526)


def planned(*limits: Any, request: PolicyRequest = by_login(), **said: Any) -> ChargePlan:  # noqa: B008
    """Return the plan of one recipient under these limits."""
    return Planner(config(*limits, **said)).plan(request, START)


def of_list(name: str = "news", **changed: Any) -> PolicyRequest:
    """Return a recipient of a mailing that the list software sends."""
    return locally(f"{name}-bounces@example.org", policy_context="mailman", **changed)


def test_a_pace_takes_one_slot_for_each_recipient() -> None:
    """The charge says how long the slot may be away, and how long one is."""
    plan = planned(rate(), pace())
    assert plan.charges[1] == Charge(CounterType.PACE, "list-pace", "example.org", 1, 30_000, 6000)
    assert plan.paced


@pytest.mark.parametrize(
    ("limit", "charge", "paced"),
    [
        (pace(over=Action.DEFER), (0, False), False),
        (pace(over=Action.ACCEPT), (0, True), False),
        (pace(mode=Mode.OBSERVE), (30_000, True), False),
        (pace(), (30_000, False), True),
    ],
    ids=["defer", "accept", "observe", "delay"],
)
def test_only_an_enforced_pace_that_delays_may_keep_an_answer(
    limit: Any, charge: tuple[int, bool], paced: bool
) -> None:
    """over: defer grants no wait; what is only observed makes nobody wait."""
    plan = planned(limit)
    assert [(one.max, one.observed) for one in plan.charges] == [charge]
    assert plan.paced is paced
    assert (longest_wait(plan.charges) > 0) is paced


def test_each_list_has_its_own_pace() -> None:
    """The subject is the list's posting address, whoever its members are."""
    lists = Lists(contexts=frozenset({"mailman"}))
    limits = pace(per=Per.LIST, traffic=[TrafficKind.LIST])
    found = [planned(limits, request=of_list(name), lists=lists).charges[0].subject for name in ("news", "shop")]
    assert found == ["news@example.org", "shop@example.org"]
    assert planned(limits, request=by_login(), lists=lists).charges == ()


def test_without_a_place_no_slot_to_come_is_taken() -> None:
    """The other charges are as they were."""
    plan = planned(rate(), pace(), pace("watched", mode=Mode.OBSERVE))
    changed = without_wait(plan.charges)
    assert [one.max for one in changed] == [400, 0, 30_000]
    assert changed[0] == plan.charges[0]


def test_recipients_that_are_not_looked_at_are_not_paced() -> None:
    """recipients: remote leaves local ones alone, by answer and by transport."""
    near = by_login(recipient="bob@example.net")
    assert planned(rate(), pace(recipients=Recipients.REMOTE), request=near).charges[1].skipped
    by_transport = pace(recipients=Recipients.REMOTE, transport=SLOW)
    assert planned(by_transport, request=near).transport == ""
    assert planned(by_transport).transport.startswith("slow:[127.0.2.")


# kept by a transport of Postfix


def test_a_pace_by_transport_charges_nothing() -> None:
    """Postfix keeps it; the store is not asked because of it, and nothing waits."""
    plan = planned(pace(transport=SLOW))
    assert (plan.charges, plan.paced) == ((), False)
    assert reply_to(accepted(plan)) == f"action=FILTER {destination(SLOW, 'example.org')}\n\n".encode()


def test_a_pace_by_transport_beside_other_limits() -> None:
    """What is admitted is filtered; what another limit refuses is refused."""
    plan = planned(rate(), pace(transport=SLOW), pace("slots"))
    usages = (Usage(1, 400, 0, None), Usage(6000, 30_000, START + 6000, None))
    admitted = Outcome(admitted=True, repeated=False, now=START, usages=usages)
    verdict = decide(plan, admitted)
    assert (verdict.action, verdict.charge) == (Action.DELAY, 1)
    assert action_for(verdict).startswith("FILTER slow:[")
    assert action_for(decide(plan, admitted._replace(now=START + 6000))).startswith("FILTER slow:[")
    over = usages[0]._replace(fits_at=START + 1, episode=Episode("7ZK3M9QX2B", started=True))
    refused = decide(plan, Outcome(admitted=False, repeated=False, now=START, usages=(over, usages[1])))
    assert action_for(refused).startswith("550 5.7.1 Limit domain-hourly:")


def test_an_observed_pace_filters_nothing() -> None:
    """Mode observe changes no delivery."""
    assert planned(pace(transport=SLOW, mode=Mode.OBSERVE)).transport == ""
    assert planned(pace(transport=SLOW), mode=Mode.OBSERVE).transport == ""


def test_the_slowest_of_several_transports_is_taken() -> None:
    """A message has one."""
    slower = Transport("slower", IPv4Network("127.0.3.1/32"), 2527)
    plan = planned(pace(transport=SLOW), pace("second", every=60_000, transport=slower))
    assert plan.transport == "slower:[127.0.3.1]:2527"


def test_a_subject_keeps_its_address() -> None:
    """Each subject has one address of the network, always the same, and they are spread over all of it."""
    found = {destination(SLOW, f"list{number}@example.org") for number in range(3000)}
    assert len(found) == 256
    assert destination(SLOW, "news@example.org") == destination(SLOW, "news@example.org")
    one = Transport("slow", IPv4Network("127.0.0.2"), 2526)
    assert (str(one), destination(one, "x")) == ("slow:[127.0.0.2]:2526", "slow:[127.0.0.2]:2526")
    assert str(SLOW) == "slow:[127.0.2.0/24]:2526"


# what is said


def test_of_several_slots_the_latest_is_waited_for() -> None:
    """A request that two paces look at passes when both let it."""
    plan = planned(pace("first"), pace("second"), pace("third"))
    usages = tuple(Usage(6000, 30_000, START + wait, None) for wait in (2000, 4000, 0))
    verdict = decide(plan, Outcome(admitted=True, repeated=False, now=START, usages=usages))
    assert (verdict.action, verdict.charge) == (Action.DELAY, 1)


@pytest.mark.parametrize(
    ("used", "max_", "said"),
    [
        (36_000, 30_000, "one recipient each 6s, and 6 wait already"),
        (31_000, 30_000, "one recipient each 6s, and 6 wait already"),
        (6000, 0, "one recipient each 6s, and no more answers can wait for their turn"),
    ],
)
def test_a_refusal_says_how_long_the_queue_is(used: int, max_: int, said: str) -> None:
    """And when mail flows again, with a reference."""
    plan = planned(pace())
    usage = Usage(used, max_, START + 6000, Episode("7ZK3M9QX2B", started=True))
    verdict = decide(plan, Outcome(admitted=False, repeated=False, now=START, usages=(usage,)))
    assert verdict.action is Action.DEFER
    assert verdict.text == f"Limit list-pace: {said}; mail flows again at 2026-05-28T20:26:46+00:00; ref 7ZK3M9QX2B"
