"""What is known of lists by their roster and by the configuration, and which of the two is believed."""

import pytest

from policyd.conf.listed import KnownList, Lists
from policyd.model import Per
from policyd.policy.plan import Planner
from policyd.policy.roster import KnownLists, KnownSize, RosterList, Source, Subscription
from tests.policy.test_limits import MONDAY
from tests.policy.test_sizes import of_list
from tests.support.config import config, size

NEWS, SHOP = "news@example.org", "shop@example.org"
KNOWN = {"php@example.org": KnownList(NEWS, 850, "letters"), "shop-return@example.org": KnownList(SHOP)}


def test_a_roster_is_believed_before_the_configuration() -> None:
    """Where neither says a size, only mailings can show it."""
    known = KnownLists(KNOWN, {SHOP: RosterList(12)})
    assert known.size(NEWS) == KnownSize(850, Source.CONFIG)
    assert known.size(SHOP) == KnownSize(12, Source.ROSTER)
    assert KnownLists(KNOWN).size(SHOP) is None
    assert KnownLists(KNOWN).size("else@example.org") is None
    assert KnownLists(KNOWN, {NEWS: RosterList(901)}).size(NEWS) == KnownSize(901, Source.ROSTER)


def test_a_family_is_named_by_the_configuration_alone() -> None:
    """A roster knows none; a list that nobody names has none."""
    known = KnownLists(KNOWN, {SHOP: RosterList(12)})
    assert [known.family(one) for one in (NEWS, SHOP, "else@example.org")] == ["letters", "", ""]
    assert known.postings() == {NEWS, SHOP}


@pytest.mark.parametrize(
    ("subscription", "confirms"),
    [("open", False), ("moderate", False), ("confirm", True), ("confirm_then_moderate", True)],
)
def test_who_owns_the_address_confirms_or_not(subscription: str, confirms: bool) -> None:
    """T11: a moderator who lets somebody in is no confirmation."""
    known = KnownLists({}, {NEWS: RosterList(1, Subscription(subscription))})
    found = known.subscription(NEWS)
    assert found is not None
    assert found.confirms is confirms
    assert known.subscription(SHOP) is None


def test_a_plan_has_what_the_newest_roster_says() -> None:
    """Of a list; its family is counted, since its lists may share members."""
    lists = Lists(contexts=frozenset({"mailman"}), known=KNOWN)
    planner = Planner(config(size(), size("family", per=Per.LIST_FAMILY), lists=lists), {NEWS: RosterList(901)})
    assert [charge.member and charge.member.known for charge in planner.plan(of_list(), MONDAY).charges] == [901, None]
    planner.enrolled({NEWS: RosterList(899)})
    assert [charge.member and charge.member.known for charge in planner.plan(of_list(), MONDAY).charges] == [899, None]
