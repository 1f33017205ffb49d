"""What a list is charged as, which lists are one family, and what is said of one that is too large."""

from typing import Any

import pytest

from policyd.conf.listed import KnownList, Lists
from policyd.conf.schema import SizeLimit
from policyd.model import (
    NEVER_FITS,
    Action,
    CounterType,
    Episode,
    Family,
    Member,
    Outcome,
    Per,
    PolicyRequest,
    TrafficKind,
    Usage,
)
from policyd.policy.decide import decide, moment, waiting_reason, whose
from policyd.policy.plan import ChargePlan, Planner, nobody
from policyd.policy.roster import KnownLists
from policyd.policy.sizes import digest, size_look, stem
from tests.policy.test_limits import MONDAY, SATURDAY, WEEKEND
from tests.support.config import MAILMAN, by_login, config, locally, rate, size

FAMILY = size("list-family", per=Per.LIST_FAMILY)
MANY = [f"news{number}" for number in range(10, 40)]


def of_list(name: str = "news", context: str = "mailman", **changed: Any) -> PolicyRequest:
    """Return a recipient of a list's fan-out."""
    return locally(f"{name}-bounces@example.org", policy_context=context, **changed)


def planned(*limits: Any, request: PolicyRequest, now: int = MONDAY, **said: Any) -> ChargePlan:
    """Return the plan of one recipient under these limits."""
    return Planner(config(*limits, **{"lists": MAILMAN, **said})).plan(request, now)


def test_a_recipient_of_a_list_is_counted_as_a_member() -> None:
    """Under a hash that the domain is the key of."""
    (charge,) = planned(size(), request=of_list()).charges
    member = Member(digest("example.org", "x@remote.test"), None, slack=10, over=20, connection=43210)
    assert (charge.type, charge.subject, charge.cost, charge.max) == (CounterType.SET, "news@example.org", 1, 1000)
    assert charge.member == member
    assert digest("example.net", "x@remote.test") != member.digest


def test_an_address_is_one_member_in_every_spelling() -> None:
    """Two extensions are two addresses: a list mails to each of them."""
    assert digest("a.test", "X@Remote.TEST") == digest("a.test", "x@remote.test")
    assert digest("a.test", "x+1@remote.test") != digest("a.test", "x@remote.test")
    assert all(-(2**63) <= int(digest("a.test", f"{n}@x.test")) < 2**63 for n in range(100))


def test_what_is_no_list_has_no_size() -> None:
    """Logins and scripts are looked at by other limits."""
    assert planned(size(), request=by_login()).charges == ()
    assert planned(size(max=None), request=of_list()).charges == ()


def test_the_end_of_a_message_says_nothing_of_a_size() -> None:
    """Its recipients have told it."""
    plan = Planner(config(rate(), size(), lists=MAILMAN)).plan_message(of_list(recipient_count=5), MONDAY)
    assert [limit.name for limit in plan.limits] == ["domain-hourly"]


@pytest.mark.parametrize(
    ("request_", "connection"),
    [
        (of_list(), 43210),
        (locally("News-Bounces+bob=a.test@example.org", policy_context="mailman"), 43210),
        (locally("news-confirm+0123abc@example.org", policy_context="mailman"), 43210),
        (of_list(client_port=0), 0),
        (locally("news-owner@example.org", policy_context="mailman"), 0),
        (locally("bounce+bob==a==remote.test==news@example.org", policy_context="mailman"), 0),
        (locally("news-return-7-bob=a.test@example.org", policy_context="mailman"), 0),
        (of_list(context=""), 0),
        (by_login(sender="news-bounces@example.org"), 0),
    ],
    ids=["plain", "verp", "confirm", "unknown", "sympa", "sympa-verp", "ezmlm", "claimed", "login"],
)
def test_connections_tell_something_of_mailman_alone(request_: PolicyRequest, connection: int) -> None:
    """It is known to open one for each message; a neighbour, a login or other software may use them otherwise."""
    (charge,) = planned(size(), request=request_).charges
    assert charge.member
    assert charge.member.connection == connection


def test_who_claims_to_be_a_list_is_counted_as_another_one() -> None:
    """A neighbour's forged envelope sender never makes the list too large."""
    (charge,) = planned(size(), request=of_list(context="")).charges
    assert charge.subject == "news@example.org (claimed)"


def test_what_the_configuration_says_of_a_list_is_its_size() -> None:
    """For its own limit; a family is counted."""
    known = {"php@example.org": KnownList("news@example.org", 850)}
    lists = Lists(contexts=frozenset({"mailman"}), known=known, seen_slack=0, mailing_over=5)
    charges = planned(size(), FAMILY, request=of_list(), lists=lists).charges
    assert [charge.member and charge.member[1:4] for charge in charges] == [(850, 0, 5), (None, 0, 5)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("news", "news"), ("news1", "news"), ("news-2", "news"), ("news_b", "news"), ("news.c", "news"),
        ("news-2024-b", "news"), ("newsb", "newsb"), ("123", "123"), ("1-2", "1"), ("a", "a"), ("-b", "-b"),
    ],
)  # fmt: skip
def test_lists_that_are_numbered_share_a_stem(name: str, expected: str) -> None:
    """A name never becomes empty."""
    assert stem(f"{name}@example.org") == expected


def test_a_family_shares_a_stem_or_a_name_or_the_account() -> None:
    """A name of the configuration comes before the stem."""
    known = {"php@example.org": KnownList("news-b@example.org", family="letters")}
    lists = Lists(contexts=frozenset({"mailman"}), known=known)
    subjects = {
        name: planned(FAMILY, request=of_list(name), lists=lists).charges[0].subject for name in ("news1", "news-b")
    }
    assert subjects == {"news1": "news*", "news-b": "letters"}
    everything = size("all", per=Per.LIST_FAMILY, family=Family.ACCOUNT)
    assert planned(everything, request=of_list("news1")).charges[0].subject == "(all lists)"


def refused(plan: ChargePlan, used: int, fits_at: int, now: int = MONDAY, **schedules: Any) -> tuple[Action, str]:
    """Return the verdict on a list that is too large."""
    usage = Usage(used, plan.charges[0].max, fits_at, Episode("7KQ2M0XW9A", started=True))
    verdict = decide(plan, Outcome(admitted=False, repeated=False, now=now, usages=(usage,)), schedules)
    return verdict.action, verdict.text


def test_a_list_that_is_too_large_waits_and_hears_why() -> None:
    """450 at each recipient, however surely it is too large: its members did nothing."""
    plan = planned(size(), request=of_list())
    assert refused(plan, 1001, NEVER_FITS) == (
        Action.DEFER,
        "Limit list-size: news@example.org has 1001 addresses, 1000 are allowed on plan shared; ref 7KQ2M0XW9A",
    )


def test_a_list_out_of_its_hours_hears_when_they_come() -> None:
    """The next opening of the schedule that lifts the limit."""
    lifted = size("list-off-peak", 900, lifted_by="weekend")
    plan = planned(lifted, request=of_list(), schedules=(WEEKEND,))
    assert refused(plan, 901, NEVER_FITS, weekend=WEEKEND)[1] == (
        "Limit list-off-peak: news@example.org has 901 addresses, 900 are allowed on plan shared; "
        "mail flows from 2026-05-09T00:00:00+00:00 on; ref 7KQ2M0XW9A"
    )
    assert planned(lifted, request=of_list(), now=SATURDAY, schedules=(WEEKEND,)).charges == ()


def test_a_size_limit_looks_at_lists_alone() -> None:
    """Whatever else a plan has."""
    assert size().traffic == {TrafficKind.LIST}


@pytest.mark.parametrize(("per", "size_"), [(Per.LIST, 850), (Per.LIST_FAMILY, None)])
def test_a_look_at_a_list_counts_nobody(per: Per, size_: int | None) -> None:
    """What the configuration says of its size is known; of a family it says nothing."""
    lists = Lists(known={"bounces@example.org": KnownList("news@example.org", 850)})
    limit = size(per=per)
    charge = size_look(config(limit, lists=lists), limit, "news@example.org", KnownLists(lists.known))

    assert (charge.type, charge.subject, charge.max) == (CounterType.SET, "news@example.org", 1000)
    assert charge.member is not None
    assert (charge.member.digest, charge.member.known) == ("", size_)


def test_nobody_knows_no_unix_user() -> None:
    """Where nothing can be asked of the kernel."""
    assert nobody(by_login()) == ""


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        (["news1"], "news1 together have"),
        (["news1", "news2"], "news1, news2 together have"),
        (MANY, "news10, news11, news12, news13, news14, news15 and 24 more together have"),
        (["n" * 60, "news"], f"{'n' * 48} and 1 more together have"),
        ([], "news* has"),
    ],
)
def test_a_family_is_named_as_far_as_there_is_room(family: list[str], expected: str) -> None:
    """48 characters of names; the rest is a number."""
    assert whose(size("list-family", per=Per.LIST_FAMILY), "news*", family) == expected


def test_a_long_name_leaves_room_for_the_rest() -> None:
    """A text has less than 200 characters."""
    assert whose(size(), f"{'n' * 60}@example.org", ()) == f"{'n' * 45}... has"


@pytest.mark.parametrize(
    ("limit", "when"),
    [(size(), ""), (size(lifted_by="weekend"), "; mail flows from 2026-05-09T00:00:00+00:00 on")],
    ids=["at any hour", "at this hour"],
)
def test_why_a_mailing_waits_and_when_it_is_given_up(limit: SizeLimit, when: str) -> None:
    """Five days after it began, as Mailman does, unless the configuration says otherwise."""
    usage = Usage(1001, 1000, NEVER_FITS, None)
    why = waiting_reason(config(limit, schedules=(WEEKEND,)), limit, usage, MONDAY)
    given_up = moment(MONDAY + 5 * 86_400_000)
    assert why == f"1001 addresses, 1000 allowed{when}; the list software gives up after {given_up}"
