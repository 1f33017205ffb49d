"""The clock of Redis steps: it never lets through more than the maximum, nor forgets what it was told.

What passes in truth is one thing, what the clock says is another: it is behind by what it stepped back.
"""

from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policyd.model import Charge, CounterType
from policyd.store.base import Call, Op
from tests.store.scripted import DAY, HOUR, MINUTE, NOON, RATE_TYPES, Customer, Scripted, charge, record
from tests.store.test_distinct import recipient
from tests.store.test_set import OVER, mail
from tests.store.test_state import POP, lock_it, stand

MAX = 5
STEPS = [3_000, HOUR, DAY]
COUNTED = (*RATE_TYPES, CounterType.DISTINCT)
"""Of them no more than a maximum fits into one window."""

steps = pytest.mark.parametrize("step", STEPS)
each_counter = pytest.mark.parametrize("type_", COUNTED)


def asked(type_: CounterType, number: int, window: int = HOUR) -> Charge:
    """Return the charge of one more recipient, whom nobody has written to before."""
    if type_ is CounterType.DISTINCT:
        return recipient(number, MAX, window)
    return charge(MAX, type=type_, window=window)


@steps
@each_counter
def test_what_was_used_up_stays_so_for_its_window(customer: Customer, type_: CounterType, step: int) -> None:
    """The maximum passes before the step back, and nothing within the window after it."""
    assert all(customer.charge(asked(type_, number), now=NOON + number).admitted for number in range(MAX))
    for minute in range(60):
        assert not customer.charge(asked(type_, 100 + minute), now=NOON + minute * MINUTE - step).admitted


@steps
@each_counter
def test_a_clock_that_comes_back_has_lost_nothing(customer: Customer, type_: CounterType, step: int) -> None:
    """What passed before the step and on the clock that is behind is one sum when it is right again."""
    admitted = [customer.charge(asked(type_, n), now=NOON - step * (n % 2)).admitted for n in range(MAX + 3)]
    assert admitted == [True] * MAX + [False] * 3


class Move(NamedTuple):
    """``passed`` ms go by, and the clock goes by ``step`` more; then so many ask."""

    passed: int
    step: int
    asks: int


_SIZES = st.sampled_from([1, 3_000, MINUTE, 20 * MINUTE, HOUR, DAY])
_WALK = st.lists(
    st.builds(
        Move,
        passed=st.sampled_from([0, 1, 1_000, MINUTE, 10 * MINUTE, HOUR - 1, HOUR, HOUR + 2 * MINUTE]),
        step=st.one_of(st.just(0), st.just(0), _SIZES.map(lambda size: -size), _SIZES),
        asks=st.integers(1, 4),
    ),
    max_size=25,
)


@each_counter
@settings(max_examples=60, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(walk=_WALK)
def test_no_walk_of_the_clock_admits_more(scripted: Scripted, type_: CounterType, walk: list[Move]) -> None:
    """In no true window that the clock does not jump forward in does more than the maximum pass.

    The model: a list of all that passed, by the true time. A jump forward is time that has passed for a
    counter, so what was counted before it is crossed out.
    """
    customer, true, behind, number = Customer(scripted), NOON, 0, 0
    passed: list[int] = []
    for move in walk:
        true, behind = true + move.passed, behind - move.step
        if move.step > 0:
            passed.clear()
        for _ in range(move.asks):
            number += 1
            if customer.charge(asked(type_, number), now=true - behind).admitted:
                passed.append(true)
        assert sum(at > true - HOUR for at in passed) <= MAX


@settings(max_examples=60, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(walk=_WALK)
def test_slots_of_a_pace_keep_their_distance(scripted: Scripted, walk: list[Move]) -> None:
    """Those that are taken lie one slot apart or more in true time, however the clock steps back meanwhile."""
    customer, true, behind, slots = Customer(scripted), NOON, 0, list[int]()
    pace = charge(5 * MINUTE, type=CounterType.PACE, window=MINUTE)
    for move in walk:
        true, behind = true + move.passed, behind + abs(move.step)
        for _ in range(move.asks):
            outcome = customer.charge(pace, now=true - behind)
            if outcome.admitted:
                slots.append(max(true, outcome.usages[0].fits_at + behind))
    assert all(later - earlier >= MINUTE for earlier, later in pairwise(slots))


def test_a_ring_of_another_width_lives_until_its_slot_has_passed(customer: Customer) -> None:
    """A window that is changed while the clock is behind: Redis keeps the key until the clock has been there."""
    for window, now in ((HOUR, NOON), (2 * HOUR, NOON - DAY)):
        customer.charge(charge(400, window=window), now=now)
    key = f"policyd:1:{{{customer.name}}}:ring:hourly:someone"
    assert customer.scripted.client.pttl(key) > DAY + 2 * HOUR


@steps
def test_a_lock_lasts_no_shorter(customer: Customer, step: int) -> None:
    """Who is locked stays locked for all of its time."""
    lock_it(customer)
    ends = NOON + 2 * HOUR
    assert not any(customer.charge(POP, now=now - step).admitted for now in (NOON, NOON + HOUR, ends - 1))


@steps
def test_a_suspension_lasts_no_shorter(customer: Customer, step: int) -> None:
    """It ends when the clock has come to its end, and not before."""
    stand(customer, "suspended:domain", f"{NOON + HOUR} REF")
    for now in (NOON, NOON - step, NOON + HOUR - 1):
        assert suspended(customer, now)
    assert not suspended(customer, NOON + HOUR)


@steps
def test_a_raise_that_has_ended_stays_so(customer: Customer, step: int) -> None:
    """A step back gives nobody his larger maximum again."""
    stand(customer, "raise:hourly", f"9 {NOON}")
    assert customer.charge(charge(MAX), now=NOON - 1).usages[0].max == 9
    assert customer.charge(charge(MAX), now=NOON).usages[0].max == MAX
    assert customer.charge(charge(MAX), now=NOON - step).usages[0].max == MAX


@steps
@each_counter
def test_a_repeat_is_known_again(customer: Customer, type_: CounterType, step: int) -> None:
    """The message record is of no time: what Postfix asks again after a step is charged once."""
    one, of = asked(type_, 1), record("m1")
    customer.charge(one, of=of)
    assert customer.charge(one, of=of, now=NOON - step).repeated
    assert customer.used(one, now=NOON - step) == 1


@steps
def test_a_list_that_is_too_large_stays_so(customer: Customer, step: int) -> None:
    """Its members and its largest size are kept, so the next mailing is refused."""
    mail(customer, range(50), max_=40)
    assert not any(mail(customer, range(100, 130), NOON + 3 * HOUR - step, max_=40)[OVER:])


def test_an_old_mailing_does_not_go_on_for_the_length_of_a_step(customer: Customer) -> None:
    """After a step back by a day the next post, 2 h later, is judged by the size that the list has by then."""
    assert all(mail(customer, range(50), max_=40))
    assert not any(mail(customer, range(100, 130), NOON - DAY + 2 * HOUR, max_=40))


def suspended(customer: Customer, now: int) -> bool:
    """Return whether the account is suspended."""
    return customer.scripted.ask(Call(Op.PEEK, customer.name, None, (), ("domain",)), now).suspended is not None
