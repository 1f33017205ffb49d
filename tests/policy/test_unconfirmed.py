"""Lists that let people in without their confirmation, as their roster says, have a limit of their own."""

from dataclasses import replace

import pytest

from policyd.conf.software import MailmanSettings
from policyd.model import NEVER_FITS, Action, Episode, Outcome, Usage
from policyd.policy.decide import decide
from policyd.policy.plan import Planner
from policyd.policy.roster import RosterList, Subscription
from policyd.policy.sums import sums
from policyd.policy.wording import unconcerned
from tests.policy.test_limits import MONDAY
from tests.policy.test_sizes import of_list
from tests.support.config import MAILMAN, config, rate, size

OPT_IN = size("opt-in", 0, unconfirmed=True)
SITE = config(size(), OPT_IN, lists=MAILMAN)


def planner(subscription: Subscription | None) -> Planner:
    """Return a planner that knows how people get into the list."""
    return Planner(SITE, {"news@example.org": RosterList(8, subscription)})


@pytest.mark.parametrize(
    ("subscription", "looked_at"),
    [
        (Subscription.OPEN, True), (Subscription.MODERATE, True), (Subscription.CONFIRM, False),
        (Subscription.CONFIRM_THEN_MODERATE, False), (None, False),
    ],
)  # fmt: skip
def test_it_looks_at_lists_that_ask_nobody(subscription: Subscription | None, looked_at: bool) -> None:
    """What no roster says is held against nobody."""
    plan = planner(subscription).plan(of_list(), MONDAY)
    assert [charge.limit for charge in plan.charges] == ["list-size"] + ["opt-in"] * looked_at


def test_a_list_without_a_roster_is_not_looked_at() -> None:
    """It may ask everybody, for all that is known."""
    plan = Planner(SITE).plan(of_list(), MONDAY)
    assert [charge.limit for charge in plan.charges] == ["list-size"]
    why = "looks only at lists that let people in without their confirmation"
    assert unconcerned(SITE, OPT_IN, plan.traffic, MONDAY, here=False) == why


def test_the_refusal_gives_the_reason() -> None:
    """The copies wait, as with any size."""
    plan = planner(Subscription.OPEN).plan(of_list(), MONDAY)
    fits, over = Usage(8, 1000, 0, None), Usage(8, 0, NEVER_FITS, Episode("7KQ2M0XW9A", started=True))
    verdict = decide(plan, Outcome(admitted=False, repeated=False, now=MONDAY, usages=(fits, over)))
    assert verdict.action is Action.DEFER
    assert verdict.text == (
        "Limit opt-in: news@example.org has 8 addresses that nobody had to confirm, 0 are allowed on plan shared; "
        "ref 7KQ2M0XW9A"
    )


def test_it_says_nothing_of_the_largest_list() -> None:
    """The sums are of lists that ask everybody."""
    small = size("opt-in", 50, unconfirmed=True)
    asked = config(rate(), size(), small)
    assert sums(replace(asked, mailman=MailmanSettings("", "", ""))) == sums(config(rate(), size()))


def test_without_rosters_it_says_that_it_looks_at_nothing() -> None:
    """A limit that cannot work is not taken for one that does."""
    assert sums(SITE)[-1] == (
        "opt-in looks at lists whose roster lets people in without their confirmation, and no roster is read: "
        "write the section mailman (see Rosters in the README)"
    )
