"""The plain way through the script does what the general way does."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policyd.model import Charge, CounterType
from policyd.store.base import Call, Op
from policyd.store.script import Script
from tests.store.scripted import DAY, HOUR, MINUTE, NOON, Scripted, account, charge, record
from tests.support.redis import RedisServer

WINDOWS = (MINUTE, 61_001, HOUR, DAY)
_VALUES = "return cjson.encode({cmsgpack.unpack(redis.call('GET', KEYS[1]))})"
_GATE = b"op == CHARGE and known == 0 and"


class Asked(NamedTuple):
    """A charge of up to three limits, and how long it is after the last one, in ms."""

    gap: int
    instance: str
    recipient: str
    charges: tuple[Charge, ...]


@pytest.fixture(scope="module")
def both(redis_of_kind: RedisServer) -> Iterator[tuple[Scripted, Scripted]]:
    """Yield the script in a database of its own, and in another one without the plain way."""
    text = Script().text
    assert text.count(_GATE) == 1
    with redis_of_kind.client(database=1) as one, redis_of_kind.client(database=2) as other:
        yield Scripted(one), Scripted(other, text.replace(_GATE, b"false and"))


def _rate(number: int) -> st.SearchStrategy[Charge]:
    return st.builds(
        lambda type_, max_, cost, window, observed, once, skipped, lock: charge(
            max_, cost, window, f"limit{number}", type=type_, observed=observed, once=once, skipped=skipped, lock=lock
        ),
        st.sampled_from([CounterType.RING] * 5 + [CounterType.LOG]),
        st.sampled_from([2, 5, 40, 40]),
        st.sampled_from([0, 1, 1, 1, 1, 3]),
        st.sampled_from((HOUR,) * 5 + WINDOWS),
        *[st.sampled_from([False] * 5 + [True])] * 3,
        st.sampled_from([0] * 9 + [HOUR]),
    )


def _gaps() -> st.SearchStrategy[int]:
    slots = st.integers(1, 62).flatmap(lambda n: st.sampled_from([n * MINUTE - 1, n * MINUTE, n * MINUTE + 1]))
    return st.one_of(st.just(0), st.integers(-2 * MINUTE, 2 * MINUTE), slots, st.integers(0, 3 * DAY))


asked = st.builds(
    Asked,
    _gaps(),
    st.sampled_from([f"m{number}" for number in range(30)] + [""]),
    st.sampled_from(["a@remote.test", "b@remote.test"]),
    st.integers(0, 3).flatmap(lambda count: st.tuples(*map(_rate, range(count)))),
)


@settings(max_examples=150, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(requests=st.lists(asked, min_size=1, max_size=25))
def test_the_plain_way_is_the_general_way(both: tuple[Scripted, Scripted], requests: list[Asked]) -> None:
    """For any charges at any times, the replies are the same, and so is every key that is left."""
    name, now = account(), NOON
    for one in requests:
        now += one.gap
        call = Call(Op.CHARGE, name, record(one.instance, one.recipient), one.charges)
        plain, general = (scripted.reply(call, now) for scripted in both)
        assert plain == general
    plain_left, general_left = (_left(scripted, name) for scripted in both)
    assert plain_left == general_left


def test_what_is_kept_lives_as_long(both: tuple[Scripted, Scripted]) -> None:
    """A counter lives until its last slot has left the window, and the record as long as it was told, either way."""
    name = account()
    for number, at in enumerate([NOON, NOON + MINUTE, NOON + 5 * MINUTE, NOON + 70 * MINUTE, NOON + 70 * MINUTE]):
        call = Call(Op.CHARGE, name, record(f"m{number}"), (charge(),))
        for scripted in both:
            scripted.reply(call, at)
            lives = scripted.client.pttl(f"policyd:1:{{{name}}}:ring:hourly:someone")
            assert 0 <= 62 * MINUTE - at % MINUTE - lives < MINUTE
            assert 0 <= 7_200_000 - scripted.client.pttl(f"policyd:1:{{{name}}}:message:mx:m{number}") < MINUTE


def _left(scripted: Scripted, name: str) -> dict[str, object]:
    """Return what is kept of an account. The receipts of a message are in no order."""
    left: dict[str, object] = {}
    for key in sorted(scripted.client.scan_iter(f"policyd:1:{{{name}}}:*", count=10_000)):
        if b":message:" in key:
            values = json.loads(scripted.client.eval(_VALUES, 1, key))
            left[key.decode()] = values[: 4 + values[3]], _receipts(values[4 + values[3] :])
        else:
            left[key.decode()] = scripted.client.dump(key)
    return left


def _receipts(values: list[Any]) -> dict[str, list[int]]:
    receipts = {}
    while values:
        name, length, *rest = values
        receipts[name], values = rest[:length], rest[length:]
    return receipts
