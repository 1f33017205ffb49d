"""How large a list is, told from whom it mails to: members, mailings, and one verdict for one post."""

from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policyd.model import Charge, CounterType, Episode, Member, Outcome
from tests.store.counters import MailedList
from tests.store.scripted import DAY, HOUR, MINUTE, NOON, Customer, Scripted, charge, record

WEEK = 7 * DAY
OVER = 20
MAXIMA = (5, 8)


def digest(number: int) -> str:
    """Return the digest of a member, as random as real ones are, of both signs."""
    return str((number * 0x9E3779B97F4A7C15) % 2**64 - 2**63)


def recipient(
    number: int, max_: int = 1000, *, limit: str = "list-size", known: int | None = None, slack: int = 0,
    over: int = OVER, subject: str = "news@example.org", observed: bool = False, connection: int = 0,
) -> Charge:  # fmt: skip
    """Return the charge of one recipient of a list."""
    member = Member(digest(number), known, slack, over, connection)
    return Charge(CounterType.SET, limit, subject, 1, max_, WEEK, observed=observed, member=member)


def list_itself(max_: int = 1000, **fields: int) -> Charge:
    """Return a charge that looks at the list itself."""
    one = recipient(0, max_, **fields)  # type: ignore[arg-type]
    assert one.member
    return one._replace(member=one.member._replace(digest=""))


def mail(customer: Customer, numbers: range, now: int = NOON, max_: int = 1000, **fields: int) -> list[bool]:
    """Ask for recipients a millisecond apart, and return which were admitted."""
    asked = enumerate(numbers)
    return [customer.charge(recipient(n, max_, **fields), now=now + at).admitted for at, n in asked]  # type: ignore[arg-type]


def size(customer: Customer, now: int = NOON + HOUR) -> int:
    """Return the size of the list as it is seen."""
    return customer.used(list_itself(), now=now)


def test_a_mailing_makes_members_of_its_recipients(customer: Customer) -> None:
    """Those of its beginning too, before it could be told from administrivia."""
    mail(customer, range(50))
    assert size(customer) == 50


def test_administrivia_makes_no_members(customer: Customer) -> None:
    """20 recipients within 15 min are none, however many quarters of an hour there are."""
    for quarter in range(60):
        mail(customer, range(quarter * 20, quarter * 20 + 20), NOON + quarter * 15 * MINUTE)
    assert size(customer, NOON + DAY) == 0


def test_answers_make_no_mailing(customer: Customer) -> None:
    """1,001 strangers whom the list software answers, each over a connection of his own, do not make it too large."""
    for number in range(1001):
        assert customer.charge(recipient(number, connection=number + 1), now=NOON + number).admitted
    assert size(customer) == 0
    assert customer.charge(recipient(2000, known=5000, connection=2000), now=NOON + 1001).admitted


def test_a_mailing_comes_over_one_connection(customer: Customer) -> None:
    """All of its recipients are members, the first too, and answers in between make no difference."""
    for number in range(30):
        customer.charge(recipient(number, connection=7), now=NOON + number)
        customer.charge(recipient(1000 + number, connection=100 + number), now=NOON + number)
    assert size(customer) == 30
    later = [customer.charge(recipient(n, 29, connection=8), now=NOON + 2 * HOUR + n).admitted for n in range(30)]
    assert later == [True] * 20 + [False] * 10


def test_administrivia_of_a_list_that_is_too_large_flows(customer: Customer) -> None:
    """Confirmations and owner notices are no mailing, so no limit of size looks at them."""
    assert all(mail(customer, range(20), known=5000))
    assert mail(customer, range(100, 120), NOON + 16 * MINUTE, known=5000) == [True] * 20


@pytest.mark.parametrize(("max_", "members"), [(1000, 1000), (900, 900)])
def test_strictly_greater_is_too_large(customer: Customer, max_: int, members: int) -> None:
    """By what mailings showed: so many members pass at the next mailing too, one more does not."""
    mail(customer, range(members), max_=max_)
    assert all(mail(customer, range(30), NOON + 2 * HOUR, max_))
    mail(customer, range(members, members + 1), NOON + 2 * HOUR + MINUTE, max_)
    assert mail(customer, range(30), NOON + 4 * HOUR, max_) == [True] * 20 + [False] * 10


@pytest.mark.parametrize("max_", [1000, 900])
def test_a_known_size_is_exact(customer: Customer, max_: int) -> None:
    """The grace is for what was seen only."""
    assert all(mail(customer, range(30), max_=max_, known=max_, slack=10))
    assert mail(customer, range(30), NOON + 2 * HOUR, max_, known=max_ + 1, slack=10) == [True] * 20 + [False] * 10


def test_a_size_that_was_seen_has_a_grace(customer: Customer) -> None:
    """1,100 with 10 %, since members come and go within the day; 1,101 are too many."""
    mail(customer, range(1100), slack=10)
    assert customer.peek(list_itself(slack=10), now=NOON + HOUR).admitted
    mail(customer, range(1101), NOON + 2 * HOUR, slack=10)
    assert not customer.peek(list_itself(slack=10), now=NOON + 3 * HOUR).admitted


def test_one_post_has_one_verdict(customer: Customer) -> None:
    """A list that shows itself too large in the middle of a post is so from the next post on."""
    assert all(mail(customer, range(1300)))
    assert not customer.peek(list_itself(), now=NOON + MINUTE).admitted


def test_a_post_keeps_its_verdict_over_the_retries(customer: Customer) -> None:
    """What other limits refused is asked for again a quarter of an hour later, for hours, and still goes through."""
    for quarter in range(12):
        assert all(mail(customer, range(quarter * 100, quarter * 100 + 100), NOON + quarter * 16 * MINUTE))
    assert size(customer, NOON + 4 * HOUR) == 1001


def test_a_member_who_joins_in_the_middle_of_a_post_stops_nothing(customer: Customer) -> None:
    """The roster said 1,000 when the post began."""
    assert all(mail(customer, range(500), known=1000))
    assert all(mail(customer, range(500, 1001), NOON + MINUTE, known=1001))


def test_a_roster_that_became_smaller_lets_the_post_go_on(customer: Customer) -> None:
    """The owner removed members, or had counted wrong: what waits flows at the next try."""
    assert not all(mail(customer, range(100), known=1001))
    assert all(mail(customer, range(100), NOON + 15 * MINUTE, known=1000))


def test_a_refused_mailing_does_not_trickle(customer: Customer) -> None:
    """At each retry it is a mailing still: only the first 20 recipients passed for administrivia."""
    admitted = sum(sum(mail(customer, range(100), NOON + n * 14 * MINUTE, known=2000)) for n in range(8))
    assert admitted == 20 * 8 - 140  # the 20 were asked for again each time, among 80 others


def test_a_size_is_remembered_for_a_week(customer: Customer) -> None:
    """A list known as too large stays so until it fades, or its roster says otherwise."""
    mail(customer, range(1100))
    last = NOON + 1099
    too_large = customer.peek(list_itself(), now=last + WEEK - 1)
    assert (too_large.admitted, too_large.usages[0].fits_at) == (False, last + WEEK)
    assert customer.peek(list_itself(known=800), now=last + 1).admitted
    assert customer.peek(list_itself(), now=last + WEEK).admitted


def test_counting_stops_above_the_maximum(customer: Customer) -> None:
    """Too large is too large."""
    mail(customer, range(3000))
    assert size(customer) == 1001


def test_members_are_remembered_for_a_day(customer: Customer) -> None:
    """24 to 30 h; seen again, a member counts once and for another day."""
    mail(customer, range(100))
    assert customer.used(list_itself()._replace(window=1), now=NOON + DAY) == 100
    mail(customer, range(50), NOON + DAY)
    assert customer.used(list_itself()._replace(window=1), now=NOON + DAY + HOUR) == 100
    assert customer.used(list_itself()._replace(window=1), now=NOON + DAY + 6 * HOUR) == 50
    assert customer.used(list_itself()._replace(window=1), now=NOON + 2 * DAY + 6 * HOUR) == 0


def test_limits_of_one_list_share_its_members(customer: Customer) -> None:
    """900 in the daytime and 1,000 at all: one set, counted up to the larger of the two."""
    for number in range(950):
        both = (recipient(number, 900, limit="off-peak"), recipient(number))
        assert customer.charge(*both, now=NOON + number).admitted
    assert (customer.used(list_itself(900)), customer.used(list_itself())) == (950, 950)
    later = [customer.charge(recipient(n, 900, limit="off-peak"), recipient(n), now=NOON + 2 * HOUR) for n in range(25)]
    assert [outcome.admitted for outcome in later] == [True] * 20 + [False] * 5
    assert [usage.episode is None for usage in later[-1].usages] == [False, True]


def test_a_member_of_two_lists_of_a_family_counts_once(customer: Customer) -> None:
    """The family has a set of its own."""
    for number in range(100):
        own = recipient(number, subject=f"news{number % 2}@example.org")
        customer.charge(own, recipient(number // 2, limit="list-family", subject="news*"), now=NOON + number)
    assert customer.used(list_itself()._replace(subject="news*")) == 50


def test_what_another_limit_refuses_makes_no_member(customer: Customer) -> None:
    """All or nothing; the mailing is noted all the same."""
    full = charge(0, limit="full")
    for number in range(30):
        assert not customer.charge(full, recipient(number), now=NOON + number).admitted
    assert size(customer) == 0


def test_giving_back_takes_out_whom_the_message_added(customer: Customer) -> None:
    """Who was a member before stays one."""
    mail(customer, range(30))
    for number in (29, 30):
        customer.charge(recipient(number), of=record("m1", f"{number}@x.test"), now=NOON + MINUTE)
    assert size(customer) == 31
    customer.give_back(record("m1", "30@x.test"), now=NOON + MINUTE)
    assert customer.used(list_itself()._replace(window=1), now=NOON + HOUR) == 30


def test_observed_lists_are_counted_and_flow(customer: Customer) -> None:
    """Mode observe says what would be refused."""
    mail(customer, range(1001))
    outcomes = [customer.charge(recipient(n, observed=True), now=NOON + 2 * HOUR) for n in range(30)]
    assert all(outcome.admitted for outcome in outcomes)
    assert [outcome.usages[0].episode is not None for outcome in outcomes] == [False] * 20 + [True] * 10


def test_a_raise_is_the_maximum_of_a_list_too(customer: Customer) -> None:
    """Counting goes on up to it."""
    mail(customer, range(1001))
    customer.scripted.client.hset(f"policyd:1:{{{customer.name}}}:state", "raise:list-size", f"1200 {NOON + DAY}")
    assert all(mail(customer, range(1300), NOON + 2 * HOUR))
    assert size(customer, NOON + 3 * HOUR) == 1201


def test_a_maximum_of_0_lets_no_mailing_through(customer: Customer) -> None:
    """Administrivia still flows."""
    assert mail(customer, range(30), max_=0) == [True] * 20 + [False] * 10


def test_each_mailing_that_is_refused_is_an_episode(customer: Customer) -> None:
    """It goes on while it is tried in each hour; the next mailing, a day later, is another one."""

    def refused(now: int) -> Episode:
        usages = [customer.charge(recipient(n, known=5000), now=now).usages[0] for n in range(30)]
        assert usages[-1].episode
        return usages[-1].episode

    refs = [refused(NOON + int(hours * HOUR)).ref for hours in (0, 0.9, 25)]
    assert refs[0] == refs[1]
    assert refs[1] != refs[2]


class Step(NamedTuple):
    """One call, ``passed`` ms after the one before (below 0: a step back). ``blocked``: another limit refuses it."""

    passed: int
    member: int
    known: int | None
    connection: int
    blocked: bool
    give_back: bool


_GAPS = st.one_of(
    st.integers(0, 3),
    st.sampled_from([MINUTE, 15 * MINUTE - 1, 15 * MINUTE, HOUR, HOUR + 1, 6 * HOUR, DAY, WEEK - 1, WEEK]),
    st.sampled_from([-1, -15 * MINUTE, -HOUR, -HOUR - 1, -6 * HOUR, -DAY, -WEEK]),
)
_STEPS = st.builds(
    Step,
    passed=st.one_of(st.integers(0, 3), st.integers(0, 3), _GAPS),
    member=st.integers(1, 16),
    known=st.sampled_from([None, None, None, 0, 4, 5, 6, 9]),
    connection=st.sampled_from([0, 0, 1, 1, 2, 3, 4, 65535]),
    blocked=st.sampled_from([False] * 6 + [True]),
    give_back=st.sampled_from([False] * 8 + [True]),
)


@settings(max_examples=250, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(_STEPS, min_size=1, max_size=60), slack=st.sampled_from([0, 40]), over=st.integers(0, 4))
def test_the_script_does_what_the_model_does(scripted: Scripted, steps: list[Step], slack: int, over: int) -> None:
    """Members, mailings, verdicts, refusals by others and give-backs, under two limits of one list."""
    customer, model, now = Customer(scripted), MailedList(), NOON
    for number, step in enumerate(steps):
        now += step.passed
        member = Member(digest(step.member), step.known, slack, over, step.connection)
        asked = [recipient(step.member, maximum, limit=f"max-{maximum}") for maximum in MAXIMA]
        charges = [one._replace(member=member) for one in asked] + [charge(0, limit="full")] * step.blocked
        outcome = customer.charge(*charges, of=record(f"m{number}"), now=now)
        new = expect(model, member, now, outcome, blocked=step.blocked)
        if step.give_back:
            customer.give_back(record(f"m{number}"), now)
            if new is not None:
                model.undo(*new)
        assert customer.used(list_itself(), now=now) == model.size(now, WEEK)


def expect(model: MailedList, member: Member, now: int, outcome: Outcome, *, blocked: bool) -> tuple[str, int] | None:
    """Hold that the outcome is the model's, and return the digest and generation of a member that is new."""
    largest = {maximum: maximum + maximum * member.slack // 100 for maximum in MAXIMA}
    judged = model.judge(member, now, WEEK)
    fits = [judged is None or judged[0] <= (maximum if judged[1] else largest[maximum]) for maximum in MAXIMA]
    assert [usage.episode is None for usage in outcome.usages[:2]] == fits
    assert outcome.admitted is (all(fits) and not blocked)
    if not outcome.admitted:
        model.note(member, now, WEEK)
        return None
    exact = judged is not None and judged[1]
    return model.apply(member, now, WEEK, [maximum if exact else largest[maximum] for maximum in MAXIMA])
