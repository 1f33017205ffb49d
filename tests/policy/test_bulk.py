"""Whom a limit of distinct recipients looks at, and what it says."""

from typing import Any

import pytest

from policyd.conf.listed import KnownList, Lists
from policyd.model import Action, CounterType, Counts, Episode, Member, Outcome, Per, PolicyRequest, Usage
from policyd.policy.decide import decide
from policyd.policy.plan import Planner
from policyd.policy.sizes import digest
from policyd.policy.wording import unconcerned
from tests.policy.test_limits import MONDAY
from tests.support.config import by_login, config, locally, rate

DAY = 86_400_000
BULK = rate("bulk", 500, DAY, counts=Counts.DISTINCT, per=Per.USER)
LISTS = Lists(
    contexts=frozenset({"mailman"}), known={"php@example.org": KnownList("letter@example.org")},
)  # fmt: skip
VERIFIED = {"verified_contexts": frozenset({"pickup"})}


def planner(*limits: Any) -> Planner:
    """Return a planner with these limits, or with bulk alone."""
    return Planner(config(*(limits or (BULK,)), lists=LISTS, accounts=VERIFIED))


def test_a_recipient_of_a_login_is_counted_as_a_member() -> None:
    """Of the sender, under a hash."""
    (charge,) = planner().plan(by_login(), MONDAY).charges
    assert (charge.type, charge.subject, charge.cost, charge.max) == (CounterType.DISTINCT, "alice@example.org", 1, 500)
    assert charge.member == Member(digest("example.org", "x@remote.test"))


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (by_login(), ""),
        (locally(policy_context="pickup"), ""),
        (by_login(sender="news-bounces@example.org"), ""),
        (by_login(sender="php@example.org"), "looks at no registered list"),
        (by_login(sender="letter-bounces@example.org"), "looks at no registered list"),
        (locally("news-bounces@example.org", policy_context="mailman"), "looks at no registered list"),
        (locally(), "looks at verified senders only"),
        (locally("news-bounces@example.org"), "looks at verified senders only"),
    ],
    ids=["login", "script", "made-up", "known", "named", "mailman", "claimed", "claimed-list"],
)
def test_it_looks_at_verified_senders_that_are_no_registered_list(request_: PolicyRequest, why: str) -> None:
    """A login that makes up a list's envelope sender is counted as what it is."""
    plan = planner().plan(request_, MONDAY)
    assert [charge.subject for charge in plan.charges] == ([] if why else [plan.traffic.user])
    if why:
        assert unconcerned(planner().config, BULK, plan.traffic, MONDAY, here=False) == why


def test_it_is_asked_beside_the_others_in_one_call() -> None:
    """And not at the end of a message, which does not name its recipients."""
    both = planner(rate(), BULK)
    asked, ended = both.plan(by_login(), MONDAY), both.plan_message(by_login(recipient_count=5), MONDAY)
    assert [charge.limit for charge in asked.charges] == ["domain-hourly", "bulk"]
    assert [charge.limit for charge in ended.charges] == ["domain-hourly"]
    assert unconcerned(both.config, BULK, asked.traffic, MONDAY, here=False) == "spared by exempt"


@pytest.mark.parametrize(
    ("request_", "action"),
    [(by_login(), Action.REJECT), (locally(policy_context="pickup"), Action.DEFER),
     (by_login(sender="news-bounces@example.org"), Action.DEFER)],
    ids=["user", "script", "list"],
)  # fmt: skip
def test_the_refusal_gives_the_reason(request_: PolicyRequest, action: Action) -> None:
    """A user hears 550, a script or a list that nobody registered waits."""
    plan = planner().plan(request_, MONDAY)
    usage = Usage(500, 500, MONDAY + DAY, Episode("7KQ2M0XW9A", started=True))
    verdict = decide(plan, Outcome(admitted=False, repeated=False, now=MONDAY, usages=(usage,)))
    assert verdict.action is action
    assert verdict.text == (
        "Limit bulk: 500 of 500 distinct-recipients in 1d used, more are for registered lists; "
        "mail flows again at 2026-05-05T12:00:00+00:00; ref 7KQ2M0XW9A"
    )
