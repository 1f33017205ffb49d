"""A pace: who charges takes the next slot, and is told when that is."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policyd.model import Charge, CounterType
from tests.store.scripted import HOUR, NOON, Customer, Scripted, charge, record

EVERY, LONGEST = 6000, 30_000


def pace(longest: int = LONGEST, every: int = EVERY, **fields: Any) -> Charge:
    """Return one slot of a pace, which may be ``longest`` ms away."""
    return charge(longest, type=CounterType.PACE, window=every, limit="list-pace", **fields)


def slots(customer: Customer, number: int, now: int = NOON, **fields: Any) -> list[int | None]:
    """Return the slots of so many charges at one moment, from then on; None for one that was refused."""
    outcomes = [customer.charge(pace(**fields), now=now) for _ in range(number)]
    return [max(0, one.usages[0].fits_at - now) if one.admitted else None for one in outcomes]


def test_each_charge_takes_the_slot_after_the_last(customer: Customer) -> None:
    """Asked at once, the first passes at once and the others one slot later each, up to the longest wait."""
    assert slots(customer, 7) == [0, 6000, 12_000, 18_000, 24_000, 30_000, None]
    assert slots(customer, 2, NOON + EVERY) == [30_000, None]


def test_a_slot_that_is_too_far_away_is_not_taken(customer: Customer) -> None:
    """However often it is tried, and the refusal says from when on it may be waited for."""
    assert slots(customer, 20)[6:] == [None] * 14
    usage = customer.charge(pace()).usages[0]
    assert (usage.used, usage.max, usage.fits_at) == (36_000, LONGEST, NOON + 6000)
    assert customer.charge(pace(), now=usage.fits_at - 1).usages[0].episode
    assert customer.charge(pace(), now=usage.fits_at).usages[0].fits_at == NOON + 36_000


def test_one_stretch_of_refusals_is_one_episode(customer: Customer) -> None:
    """What comes back every quarter of an hour, as a mailing list's retries do, keeps its reference."""
    customer.charge(pace(cost=2000))
    episodes = [customer.charge(pace(), now=NOON + n * 900_000).usages[0].episode for n in range(9)]
    assert [one and one.started for one in episodes] == [True, *[False] * 8]
    assert len({one and one.ref for one in episodes}) == 1


def test_no_wait_is_granted_with_a_longest_of_zero(customer: Customer) -> None:
    """A slot that is free now passes; one to come is refused, and stays free."""
    assert slots(customer, 3, longest=0) == [0, None, None]
    assert slots(customer, 1, NOON + EVERY, longest=0) == [0]


def test_a_refusal_by_another_limit_takes_no_slot(customer: Customer) -> None:
    """All limits or none, slots included."""
    assert not customer.charge(pace(), charge(0)).admitted
    assert slots(customer, 2) == [0, 6000]


def test_a_repeat_gets_the_same_slot(customer: Customer) -> None:
    """Postfix that asks again after a lost connection waits for the slot that it has, and takes none."""
    slots(customer, 2)
    first = customer.charge(pace(), of=record("m1"))
    again = customer.charge(pace(0), of=record("m1"), now=NOON + 5000)
    assert again == first._replace(repeated=True, now=NOON + 5000)
    assert again.usages[0].fits_at == NOON + 12_000
    assert slots(customer, 1) == [18_000]


def test_only_the_newest_slot_is_given_back(customer: Customer) -> None:
    """A slot that others stand behind stays taken; the last one is free again."""
    customer.charge(pace(), of=record("m1"))
    customer.charge(pace(), of=record("m2"))
    customer.give_back(record("m1"))
    assert slots(customer, 1) == [12_000]
    customer.charge(pace(), of=record("m3"))
    customer.give_back(record("m3"))
    assert slots(customer, 1) == [18_000]


def test_a_settlement_leaves_the_slots(customer: Customer) -> None:
    """Whatever the message had in the end, its slots are past; and a message without a record takes none."""
    customer.charge(pace(), of=record("m1"))
    for message, recipients in (("m1", 100), ("m2", 100)):
        customer.settle(pace(cost=100), of=record(message, state="END-OF-MESSAGE", recipients=recipients))
    assert slots(customer, 1) == [6000]


def test_a_message_of_many_takes_as_many_slots(customer: Customer) -> None:
    """It passes at the first of them, however many they are."""
    assert slots(customer, 1, cost=100) == [0]
    assert slots(customer, 1, NOON + 100 * EVERY - LONGEST - 1) == [None]
    assert slots(customer, 1, NOON + 100 * EVERY - LONGEST, cost=1000) == [LONGEST]


def test_an_observed_pace_takes_only_slots_that_fit(customer: Customer) -> None:
    """It refuses nothing, says what it would refuse, and does not run ahead of its pace meanwhile."""
    outcomes = [customer.charge(pace(observed=True)) for _ in range(50)]
    assert all(outcome.admitted for outcome in outcomes)
    assert [outcome.usages[0].episode is None for outcome in outcomes] == [True] * 6 + [False] * 44
    assert customer.used(pace()) == 36_000


def test_a_clock_that_steps_back_takes_the_slots_with_it(customer: Customer) -> None:
    """The next slot is as far away as it was, and not an hour more."""
    assert slots(customer, 2) == [0, 6000]
    assert slots(customer, 2, NOON - HOUR) == [12_000, 18_000]
    assert slots(customer, 1, NOON - HOUR + 6000) == [18_000]


@settings(max_examples=150, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(gaps=st.lists(st.integers(0, 20_000), min_size=1, max_size=60), every=st.sampled_from([20, 6000, 9150]))
def test_no_two_pass_within_one_slot(scripted: Scripted, gaps: list[int], every: int) -> None:
    """Slots are never nearer than ``every``, never later than they have to be, and refused is only what is too far."""
    customer, now, taken = Customer(scripted), NOON, [NOON - every]
    for gap in gaps:
        now += gap
        expected = max(now, taken[-1] + every)
        outcome = customer.charge(pace(every=every), now=now)
        assert outcome.admitted is (expected - now <= LONGEST)
        if outcome.admitted:
            assert outcome.usages[0].fits_at == (expected if expected > now else 0)
            taken.append(expected)
