"""How many different recipients a sender had within a window: who was counted already costs nothing."""

from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policyd.model import NEVER_FITS, Charge, CounterType, Member
from policyd.store.script import Script
from tests.store.counters import Distinct
from tests.store.scripted import DAY, HOUR, NOON, Customer, Scripted, charge, record
from tests.store.test_set import digest

EDGE = NOON + 12 * HOUR
"""A generation of a day begins: a quarter of it is 6 h."""


def recipient(number: int, max_: int = 5, window: int = DAY, *, observed: bool = False) -> Charge:
    """Return the charge of one recipient."""
    member = Member(digest(number))
    return Charge(CounterType.DISTINCT, "bulk", "alice@example.org", 1, max_, window, observed=observed, member=member)


def nobody(max_: int = 5, window: int = DAY) -> Charge:
    """Return a charge that looks at the counter."""
    return recipient(0, max_, window)._replace(member=Member(""))


def mail(customer: Customer, numbers: range, now: int = NOON, max_: int = 5) -> list[bool]:
    """Ask for recipients and return which were admitted."""
    return [customer.charge(recipient(number, max_), now=now).admitted for number in numbers]


def test_so_many_different_recipients_pass_and_no_more(customer: Customer) -> None:
    """Strictly; those who passed may be written to as often as anybody likes."""
    assert mail(customer, range(6)) == [True] * 5 + [False]
    assert mail(customer, range(6), NOON + HOUR) == [True] * 5 + [False]
    assert customer.used(nobody()) == 5


def test_a_recipient_is_remembered_for_a_window_and_a_quarter_at_most(customer: Customer) -> None:
    """What was counted at the beginning of a generation is the longest there; the refusal says until when."""
    mail(customer, range(5), EDGE)
    refused = customer.charge(recipient(9), now=EDGE + DAY).usages[0]
    assert refused.fits_at == EDGE + DAY + 6 * HOUR
    assert not customer.charge(recipient(9), now=refused.fits_at - 1).admitted
    assert customer.charge(recipient(9), now=refused.fits_at).admitted


def test_who_is_written_to_again_stays(customer: Customer) -> None:
    """He moves to the present generation, and is one recipient as before."""
    mail(customer, range(5), EDGE)
    mail(customer, range(1), EDGE + DAY)
    assert customer.used(nobody(), now=EDGE + DAY + 6 * HOUR) == 1


def test_observed_senders_are_counted_up_to_one_more(customer: Customer) -> None:
    """What is kept does not grow with their mail."""
    outcomes = [customer.charge(recipient(number, observed=True)) for number in range(20)]
    assert all(outcome.admitted for outcome in outcomes)
    assert [outcome.usages[0].episode is not None for outcome in outcomes] == [False] * 5 + [True] * 15
    assert customer.used(nobody()) == 6


def test_a_maximum_of_0_lets_nobody_through(customer: Customer) -> None:
    """And will not by itself."""
    assert customer.charge(recipient(1, 0)).usages[0].fits_at == NEVER_FITS


def test_what_was_given_up_is_given_back(customer: Customer) -> None:
    """Whom the message added goes; who was there before stays."""
    mail(customer, range(3))
    for number in (2, 3):
        customer.charge(recipient(number), of=record("m1", f"{number}@x.test"))
    customer.give_back(record("m1", "3@x.test"))
    assert customer.used(nobody()) == 3


def test_what_another_limit_refuses_is_not_counted(customer: Customer) -> None:
    """All or nothing."""
    assert not customer.charge(charge(0, limit="full"), recipient(1)).admitted
    assert customer.used(nobody()) == 0


def test_a_new_window_counts_on_with_what_was_held(customer: Customer) -> None:
    """For one of the new windows: strict, never lax."""
    mail(customer, range(5))
    assert not customer.charge(recipient(9, window=HOUR), now=NOON + 1).admitted
    customer.charge(recipient(9, 6, HOUR), now=NOON + 1)
    assert customer.used(nobody(window=HOUR), now=NOON + 1) == 6
    assert customer.used(nobody(window=HOUR), now=NOON + 1 + HOUR) == 1


def test_a_clock_that_steps_back_loses_nobody(customer: Customer) -> None:
    """Generations only move forward."""
    mail(customer, range(3), EDGE)
    mail(customer, range(3, 5), EDGE - 7 * HOUR)
    assert mail(customer, range(6), EDGE - 7 * HOUR) == [True] * 5 + [False]


@pytest.mark.parametrize("max_", [500, 1000])
def test_a_sender_costs_no_more_than_a_list(customer: Customer, max_: int) -> None:
    """At most 16 KiB for 1,000 recipients; every key expires, and after a reset nothing is left of them."""
    mail(customer, range(max_), max_=max_)
    client, start = customer.scripted.client, f"policyd:1:{{{customer.name}}}:"
    keys = [start + name for name in customer.names() if name.startswith("distinct:")]
    assert sum(client.memory_usage(key) or 0 for key in keys) <= 16 * 1024
    assert all(0 < client.pttl(key) <= 30 * HOUR for key in keys)

    client.delete(f"{start}distinct:bulk:alice@example.org")
    mail(customer, range(max_, max_ + 1), max_=max_)
    mail(customer, range(max_), max_=max_)
    assert customer.used(nobody(max_)) == max_


class Step(NamedTuple):
    """One call, ``passed`` ms after the one before (below 0: a step back). ``blocked``: another limit refuses it."""

    passed: int
    member: int
    change: tuple[int, int] | None
    """The max and window of the limit from now on."""
    blocked: bool
    give_back: bool
    observed: bool


_GAPS = st.one_of(
    st.integers(0, 3),
    st.sampled_from([15_000, 60_000, HOUR - 1, HOUR, 6 * HOUR, DAY]),
    st.sampled_from([-1, -15_000, -HOUR, -6 * HOUR, -DAY]),
)
_CHANGES = st.tuples(st.integers(0, 6), st.sampled_from([60_001, HOUR, DAY]))
_STEPS = st.builds(
    Step,
    passed=_GAPS,
    member=st.integers(1, 12),
    change=st.sampled_from([False] * 9 + [True]).flatmap(lambda changes: _CHANGES if changes else st.none()),
    blocked=st.sampled_from([False] * 6 + [True]),
    give_back=st.sampled_from([False] * 6 + [True]),
    observed=st.sampled_from([False] * 6 + [True]),
)


@settings(max_examples=250, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(_STEPS, min_size=1, max_size=60))
def test_the_script_does_what_the_model_does(scripted: Scripted, steps: list[Step]) -> None:
    """Members, refusals by others, give-backs, and changed limits."""
    customer, model, now, max_, window = Customer(scripted), Distinct(), NOON, 5, DAY
    for number, step in enumerate(steps):
        now += step.passed
        max_, window = step.change or (max_, window)
        one = recipient(step.member, max_, window, observed=step.observed)
        outcome = customer.charge(one, *[charge(0, limit="full")] * step.blocked, of=record(f"m{number}"), now=now)
        need = model.need(digest(step.member), now, window, max_)
        assert (outcome.usages[0].episode is not None) is (need > 0)
        if need > 0:
            assert outcome.usages[0].fits_at == model.fits_at(now, window, need)
        assert outcome.admitted is ((need <= 0 or step.observed) and not step.blocked)
        if outcome.admitted:
            receipt = model.apply(digest(step.member), now, window, max_)
            if step.give_back:
                customer.give_back(record(f"m{number}"), now)
                if receipt is not None:
                    model.undo(*receipt)
        assert customer.used(nobody(max_, window), now=now) == model.used(now, window)


def test_the_script_has_the_members_of_both_types() -> None:
    """A list's and a sender's are kept alike."""
    assert Script().text.decode().count("-- members:") == 2
