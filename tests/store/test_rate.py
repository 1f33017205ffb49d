"""What a rate limit promises, held against a diary of real times that knows nothing of slots."""

from itertools import count
from math import ceil

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from policyd.model import NEVER_FITS, Charge, CounterType
from tests.store.scripted import DAY, HOUR, MINUTE, NOON, RATE_TYPES, Customer, Scripted, charge, record

TYPES = RATE_TYPES
WINDOWS = (MINUTE, 61_001, HOUR, DAY)


class Diary:
    """The times at which units were let through, and when a request must have passed.

    Strictness is what a unit may count longer than its window: one sub-window for a ring, none for
    a log. A store whose clock was stepped back counts on at the time that it had reached.
    """

    def __init__(self, one: Charge) -> None:
        self.window, self.max = one.window, one.max
        width = ceil(one.window / 60)
        self.strictness = 61 * width - one.window if one.type is CounterType.RING else 0
        self.grain = width if one.type is CounterType.RING else 1
        self.times: list[tuple[int, int]] = []
        self.reached = 0

    def effective(self, now: int) -> int:
        """Return the time that the store counts by at ``now``."""
        return max(now, self.reached // self.grain * self.grain)

    def let_through(self, now: int, units: int) -> None:
        """Note units, and hold that no stretch of one window that ends with them has too many."""
        at = self.effective(now)
        self.reached = max(self.reached, at)
        self.times.append((at, units))
        assert self._since(at - self.window) <= self.max

    def refused(self, now: int, units: int) -> None:
        """Hold that the units did not fit, even had all others counted for the strictness longer."""
        since = self.effective(now) - self.window - self.strictness
        assert self._since(since) + units > self.max

    def _since(self, edge: int) -> int:
        return sum(units for time, units in self.times if time > edge)


def _gaps(window: int) -> st.SearchStrategy[int]:
    edge = st.builds(lambda n, off: n * ceil(window / 60) + off, st.integers(1, 62), st.sampled_from([-1, 0, 1]))
    exactly = st.sampled_from([window - 1, window, window + 1])
    long = st.integers(window, 30 * window)
    return st.one_of(st.just(0), st.integers(0, window // 4), edge, exactly, long)


@settings(max_examples=150, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), type_=st.sampled_from(RATE_TYPES), window=st.sampled_from(WINDOWS), maximum=st.integers(1, 12))
def test_never_lax_and_hardly_strict(
    scripted: Scripted, data: st.DataObject, type_: CounterType, window: int, maximum: int
) -> None:
    """In no stretch of one window is more than max let through; a refusal is for one sub-window at most too long.

    That is so for random arrivals over days, on the edges of slots, and when the clock steps back.
    """
    customer, one = Customer(scripted), charge(maximum, window=window, type=type_)
    diary, now, messages = Diary(one), NOON, count()
    back, of_messages = st.integers(1, 3 * window), data.draw(st.booleans())
    for step in data.draw(
        st.lists(st.tuples(_gaps(window), st.sampled_from([1, 1, 2, 5]), st.booleans()), max_size=30)
    ):
        gap, cost, often = step
        now += gap
        if data.draw(st.integers(0, 15)) == 0:
            now -= data.draw(back)
        for _ in range(5 if often else 1):
            of = record(f"m{next(messages)}" if of_messages else "")
            if customer.charge(one._replace(cost=cost), now=now, of=of).admitted:
                diary.let_through(now, cost)
            else:
                diary.refused(now, cost)


@settings(max_examples=100, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    type_=st.sampled_from(RATE_TYPES),
    window=st.sampled_from(WINDOWS),
    gaps=st.lists(st.integers(0, MINUTE), min_size=5, max_size=20),
    cost=st.integers(1, 5),
)
@example(type_=CounterType.RING, window=HOUR, gaps=[0] * 5, cost=5)
def test_fits_at_is_the_first_moment(
    scripted: Scripted, type_: CounterType, window: int, gaps: list[int], cost: int
) -> None:
    """What is refused is refused until fits_at, and fits from that moment on."""
    customer, one, now = Customer(scripted), charge(5, window=window, type=type_), NOON
    for gap in gaps:
        now += gap
        customer.charge(one, now=now)
    outcome = customer.charge(one._replace(cost=cost), now=now)
    if outcome.admitted:
        return
    fits_at = outcome.usages[0].fits_at
    assert not customer.peek(one._replace(cost=cost), now=fits_at - 1).admitted
    assert customer.charge(one._replace(cost=cost), now=fits_at).admitted
    assert type_ is CounterType.LOG or fits_at % ceil(window / 60) == 0


@pytest.mark.parametrize("type_", RATE_TYPES)
def test_a_burst_at_both_ends_of_an_hour(customer: Customer, type_: CounterType) -> None:
    """400 at the end of a slot and 400 at the start of the slot 60 later are in one hour: none of those passes."""
    one = charge(400, type=type_)
    first = NOON + MINUTE - 1
    assert all(customer.charge(one, now=first).admitted for _ in range(400))
    assert not customer.charge(one, now=first + HOUR - 1).admitted
    assert not customer.charge(one, now=NOON + HOUR).admitted
    assert customer.charge(one, now=NOON + HOUR + MINUTE).admitted


def test_a_poll_each_minute_passes_all_day(customer: Customer) -> None:
    """60 in an hour, counted by exact times, never refuse who comes exactly once a minute for 24 hours."""
    one = charge(60)
    assert one.type is CounterType.LOG
    assert all(customer.charge(one, now=NOON + 17 + minute * MINUTE).admitted for minute in range(24 * 60))


def test_the_first_over_the_limit_is_the_one_after_max(customer: Customer) -> None:
    """400 pass and count; the 401st is refused, counts nothing, and is told when mail flows again."""
    one = charge(400)
    used = [customer.charge(one, now=NOON + n).usages[0].used for n in range(400)]
    outcome = customer.charge(one, now=NOON + 400)
    usage = outcome.usages[0]
    assert used == list(range(1, 401))
    assert (outcome.admitted, usage.used, usage.max) == (False, 400, 400)
    assert usage.fits_at == NOON + 61 * MINUTE
    assert customer.used(one, now=NOON + 401) == 400


@pytest.mark.parametrize("type_", RATE_TYPES)
def test_a_cost_over_max_never_fits(customer: Customer, type_: CounterType) -> None:
    """Five at once can never fit four, and say so; four fit."""
    one = charge(4, type=type_)
    outcome = customer.charge(one._replace(cost=5))
    assert (outcome.admitted, outcome.usages[0].fits_at) == (False, NEVER_FITS)
    assert customer.charge(one._replace(cost=4)).admitted


@pytest.mark.parametrize("type_", RATE_TYPES)
def test_a_max_of_zero_lets_nothing_through(customer: Customer, type_: CounterType) -> None:
    """``max: 0`` refuses the first one, and no moment is named."""
    outcome = customer.charge(charge(0, type=type_))
    assert (outcome.admitted, outcome.usages[0].used, outcome.usages[0].fits_at) == (False, 0, NEVER_FITS)


def test_all_limits_or_none(customer: Customer) -> None:
    """A request that one of three limits refuses is charged to none; what fitted names no moment."""
    wide, narrow, exact = (
        charge(400, limit="wide"),
        charge(200, limit="narrow", subject="bob"),
        charge(3, limit="exact"),
    )
    for _ in range(3):
        assert customer.charge(wide, narrow, exact).admitted
    outcome = customer.charge(wide, narrow, exact)
    assert not outcome.admitted
    assert [usage.used for usage in outcome.usages] == [3, 3, 3]
    assert [usage.fits_at for usage in outcome.usages] == [0, 0, NOON + HOUR]
    assert [bool(usage.episode) for usage in outcome.usages] == [False, False, True]
    assert customer.charge(wide, narrow).usages[0].used == 4


@pytest.mark.parametrize("type_", RATE_TYPES)
def test_an_observed_limit_counts_past_max(customer: Customer, type_: CounterType) -> None:
    """A limit that only observes refuses nothing, counts all, and says what it would have refused."""
    one = charge(2, type=type_, observed=True)
    outcomes = [customer.charge(one) for _ in range(4)]
    assert all(outcome.admitted for outcome in outcomes)
    assert [outcome.usages[0].used for outcome in outcomes] == [1, 2, 3, 4]
    assert [bool(outcome.usages[0].episode) for outcome in outcomes] == [False, False, True, True]


def test_an_observed_limit_beside_one_that_refuses(customer: Customer) -> None:
    """What another limit refuses is not counted by one that observes, either."""
    watched, strict = charge(400, limit="watched", observed=True), charge(1, limit="strict")
    assert customer.charge(watched, strict).admitted
    assert not customer.charge(watched, strict).admitted
    assert customer.used(watched) == 1


def test_subjects_accounts_and_limits_are_apart(scripted: Scripted) -> None:
    """One counter for each account, limit and subject."""
    first, second, one = Customer(scripted), Customer(scripted), charge(2)
    while first.charge(one).admitted:
        pass
    others = [one._replace(subject="else"), one._replace(limit="daily"), one._replace(type=CounterType.RING, limit="x")]
    assert [first.used(other) for other in others] == [0, 0, 0]
    assert second.used(one) == 0


@pytest.mark.parametrize("type_", RATE_TYPES)
def test_a_clock_that_steps_back_gives_no_second_hour(customer: Customer, type_: CounterType) -> None:
    """After the clock of Redis is set back, what was counted counts on."""
    one = charge(2, type=type_)
    customer.charge(one._replace(cost=2), now=NOON)
    assert not customer.charge(one, now=NOON - 10 * HOUR).admitted
    assert not customer.charge(one, now=NOON + HOUR - 1).admitted
    assert customer.charge(one, now=NOON + HOUR + MINUTE).admitted


def test_explicit_time_is_for_tests_and_zero_is_the_time_of_redis(customer: Customer) -> None:
    """Without an explicit time the outcome says what time it is at Redis."""
    seconds, micros = customer.scripted.client.time()
    now = customer.charge(charge(), now=0).now
    assert 0 <= now - (seconds * 1000 + micros // 1000) < 60_000
