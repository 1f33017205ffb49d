"""What the counters hold by time, read from what the real script stores."""

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from policyd.model import Charge, CounterType
from policyd.store.cells import history
from tests.store.scripted import HOUR, MINUTE, NOON, Customer, Scripted, charge

PARTS = 6


def held(customer: Customer, one: Charge, now: int) -> tuple[int, ...]:
    """Return the history of a counter."""
    key = f"policyd:1:{{{customer.name}}}:{one.type}:{one.limit}:{one.subject}"
    raw = customer.scripted.client.get(key)
    return history(one.type, raw, now, one.window, PARTS)  # type: ignore[arg-type]


def test_each_part_has_what_was_counted_in_it(customer: Customer) -> None:
    """Ten minutes are one of six parts of an hour; the last part ends now."""
    for type_, most in ((CounterType.RING, 400), (CounterType.LOG, 100)):
        one = charge(most, type=type_, limit=type_.value)
        for minutes, units in ((0, 3), (15, 5), (55, 7)):
            customer.charge(one._replace(cost=units), now=NOON + minutes * MINUTE)

        assert held(customer, one, NOON + 59 * MINUTE) == (3, 5, 0, 0, 0, 7)
        assert held(customer, one, NOON + 70 * MINUTE) == (5, 0, 0, 0, 7, 0)


@given(
    steps=st.lists(st.tuples(st.integers(0, HOUR // 2), st.integers(1, 9)), max_size=12),
    later=st.integers(0, HOUR * 2),
    exact=st.booleans(),
)
def test_the_parts_are_what_the_script_says_is_used(
    scripted: Scripted, steps: list[tuple[int, int]], later: int, exact: bool
) -> None:
    """Whenever it is looked at, all parts together are what a peek finds used."""
    customer = Customer(scripted)
    one = charge(128 if exact else 400)
    moments = list(accumulate((step for step, _ in steps), initial=NOON))[1:]
    for moment, (_, units) in zip(moments, steps, strict=True):
        customer.charge(one._replace(cost=units), now=moment)
    now = (moments or [NOON])[-1] + later

    assert sum(held(customer, one, now)) == customer.used(one, now=now)


def test_nothing_stored() -> None:
    """A counter that is not there, or is no counter, held nothing."""
    for kind in (CounterType.RING, CounterType.LOG, CounterType.PACE):
        assert history(kind, None, NOON, HOUR, 3) == (0, 0, 0)
        assert history(kind, b"x", NOON, HOUR, 3) == (0, 0, 0)
