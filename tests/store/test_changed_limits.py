"""Counters survive a changed limit: another max, another window, another counter type."""

import pytest

from policyd.model import CounterType
from tests.store.scripted import DAY, HOUR, MINUTE, NOON, RATE_TYPES, Customer, charge, record


@pytest.mark.parametrize(("before", "after"), [(400, 100), (100, 400)], ids=["ring to log", "log to ring"])
def test_a_max_across_the_border_keeps_the_count(customer: Customer, before: int, after: int) -> None:
    """What was counted under the old max counts under the new one, for one more window."""
    for _ in range(90):
        customer.charge(charge(before))
    changed = charge(after)
    assert customer.used(changed, now=NOON + MINUTE) == 90
    outcome = customer.charge(changed, now=NOON + MINUTE)
    assert outcome.usages[0].used == 91
    assert customer.names() == {f"{changed.type}:hourly:someone"}
    assert customer.used(changed, now=NOON + 2 * HOUR + 2 * MINUTE) == 0


def test_the_moment_is_right_while_the_count_moves(customer: Customer) -> None:
    """A refusal by units that the other counter type holds names a moment at which they are gone."""
    customer.charge(charge(400, cost=100))
    changed = charge(100)
    refused = customer.charge(changed).usages[0]
    assert refused.fits_at == NOON + HOUR
    assert customer.charge(changed, now=refused.fits_at + MINUTE).admitted


@pytest.mark.parametrize(("first", "second"), [(400, 100), (100, 400)])
def test_a_counter_that_was_emptied_does_not_hide_the_other_type(customer: Customer, first: int, second: int) -> None:
    """A max that goes to and fro over the border while everything was given back lets no more than max through."""
    customer.charge(charge(first), of=record("m1"))
    customer.give_back(record("m1"))
    for _ in range(100):
        assert customer.charge(charge(second)).admitted
    assert customer.used(charge(first)) == 100


def test_a_max_to_and_fro_never_lets_more_through(customer: Customer) -> None:
    """Two daemons with two configurations during a reload count as one."""
    for turn in range(50):
        assert customer.charge(charge(400 if turn % 2 else 100)).usages[0].used == turn + 1


def test_another_max_of_the_same_type_is_in_force_at_once(customer: Customer) -> None:
    """A raised max lets through at once, a lowered one refuses at once and counts on."""
    customer.charge(charge(400, cost=400))
    assert not customer.charge(charge(400)).admitted
    assert customer.charge(charge(401)).usages[0].used == 401
    lowered = customer.charge(charge(200)).usages[0]
    assert (lowered.used, lowered.max) == (401, 200)
    assert lowered.fits_at == NOON + 61 * MINUTE


@pytest.mark.parametrize("window", [MINUTE, 30 * MINUTE, 2 * HOUR, DAY])
def test_another_window_of_a_ring_is_strict(customer: Customer, window: int) -> None:
    """What a ring holds counts under the new window as if it had been counted last."""
    customer.charge(charge(400, cost=100), now=NOON)
    customer.charge(charge(400, cost=100), now=NOON + 40 * MINUTE)
    changed, at = charge(400, window=window), NOON + 50 * MINUTE
    assert customer.charge(changed, now=at).usages[0].used == 201
    assert customer.used(changed, now=at + window - 1) == 201
    assert customer.used(changed, now=at + window + 2 * window // 60) == 0


def test_another_window_of_a_ring_after_the_clock_stepped_back(customer: Customer) -> None:
    """The newest slot stays the newest under another width, too."""
    customer.charge(charge(400, cost=399), now=NOON)
    changed = charge(400, window=DAY)
    customer.charge(changed, now=NOON - 5 * DAY)
    assert customer.used(changed, now=NOON + DAY - 1) == 400
    assert customer.used(changed, now=NOON + DAY + HOUR) == 0


def test_a_ring_that_has_run_out_brings_nothing_to_another_window(customer: Customer) -> None:
    """Units that no longer count do not come back when the window grows."""
    customer.charge(charge(400, cost=400), now=NOON)
    changed = charge(400, window=DAY)
    assert customer.used(changed, now=NOON + 61 * MINUTE - 1) == 400
    assert customer.used(changed, now=NOON + 61 * MINUTE) == 0


def test_another_window_of_a_log_keeps_the_times(customer: Customer) -> None:
    """A log knows its times: a shorter window counts those in it."""
    for minute in range(50):
        customer.charge(charge(100), now=NOON + minute * MINUTE)
    assert customer.used(charge(100, window=10 * MINUTE), now=NOON + 49 * MINUTE) == 10


@pytest.mark.parametrize("type_", RATE_TYPES)
def test_receipts_of_the_old_type_are_not_lost(customer: Customer, type_: CounterType) -> None:
    """A message that is open while the type changes is settled, and given back, as far as it can be."""
    before = charge(400 if type_ is CounterType.RING else 100)
    after = charge(100 if type_ is CounterType.RING else 400)
    customer.charge(before, of=record("m1"))
    customer.charge(before, of=record("m2"))
    customer.give_back(record("m2"))
    assert customer.used(after) == 1
    customer.settle(after, of=record("m1", state="END-OF-MESSAGE", recipients=3))
    assert customer.used(after) == 3


@pytest.mark.parametrize(("first", "second"), [(400, 100), (100, 400)])
def test_a_message_charged_under_both_types(customer: Customer, first: int, second: int) -> None:
    """Given back is what the counter of now can still tell from the rest: the units charged on it."""
    customer.charge(charge(first, cost=10), of=record("m1", "a@x.test"))
    last = record("m1", "b@x.test")
    customer.charge(charge(second, cost=3), of=last, now=NOON + MINUTE)
    customer.give_back(last, now=NOON + MINUTE)
    assert customer.used(charge(second), now=NOON + MINUTE) == 10
