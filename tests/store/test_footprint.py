"""What a subject costs in Redis, and that nothing stays there for ever."""

from collections.abc import Callable, Iterator

import pytest

from policyd.model import Charge, CounterType
from policyd.store.base import Call, Op
from tests.store.scripted import HOUR, MINUTE, NOON, RATE_TYPES, Customer, Scripted, charge, record
from tests.store.test_set import WEEK, recipient
from tests.support.redis import RedisServer, binaries, running

SUBJECT = "a.rather.long.user.name@a-customer-with-a-long-name.example"
KIB = 1024


@pytest.fixture
def alone(redis_of_kind: RedisServer) -> Iterator[Scripted]:
    """Yield the script on a redis-server of the test's own, of each kind."""
    with running(binary=redis_of_kind.binary) as server, server.client() as client:
        yield Scripted(client)


def full_ring(customer: Customer) -> Charge:
    """Fill all 61 slots of a ring with counts that need all their bytes."""
    one = charge(2**47, 2**40, limit="domain-hourly-recipients", subject=SUBJECT)
    for minute in range(61):
        customer.charge(one, now=NOON + minute * MINUTE)
    return one


def full_log(customer: Customer) -> Charge:
    """Fill a log with 128 times."""
    one = charge(128, limit="user-hourly-recipients", subject=SUBJECT)
    for second in range(128):
        customer.charge(one, now=NOON + second * 1000)
    return one


@pytest.mark.parametrize("fill", [full_ring, full_log])
def test_a_subject_costs_less_than_a_kib(
    alone: Scripted, fill: Callable[[Customer], Charge], capsys: pytest.CaptureFixture[str]
) -> None:
    """A counter that is as full as can be takes less than 1 KiB of Redis' memory, its key and expiry included."""
    customer = Customer(alone, "a-customer-with-a-long-name.example")
    one = fill(customer)
    key = f"policyd:1:{{{customer.name}}}:{one.type}:{one.limit}:{one.subject}"
    usage = alone.client.memory_usage(key)
    version = alone.client.info("server")["redis_version"]
    with capsys.disabled():
        print(f"\nredis {version}: a full {one.type} takes {usage} bytes")
    assert usage is not None
    assert usage < KIB


@pytest.mark.parametrize("type_", RATE_TYPES)
def test_an_observed_limit_does_not_grow_with_its_traffic(customer: Customer, type_: CounterType) -> None:
    """A counter that counts far past its max still takes less than 1 KiB, and is right to one sub-window."""
    one = charge(100, type=type_, observed=True)
    for second in range(3 * 3600 // 5):
        used = customer.charge(one, now=NOON + second * 5000).usages[0].used
    key = f"policyd:1:{{{customer.name}}}:{type_}:hourly:someone"
    usage = customer.scripted.client.memory_usage(key)
    assert usage is not None
    assert usage < KIB
    assert 3600 // 5 <= used <= (3600 + 60) // 5


def test_a_list_of_1000_costs_at_most_16_kib(alone: Scripted, capsys: pytest.CaptureFixture[str]) -> None:
    """All that is kept of 1,000 members, in any generations: Redis packs each set, and every key expires."""
    customer = Customer(alone, "a-customer-with-a-long-name.example")
    subject = "a.rather.long.list.name@a-customer-with-a-long-name.example"
    for generations in (1, 5):
        for number in range(1000):
            now = NOON + number * generations // 1000 * 6 * HOUR
            customer.charge(recipient(number, slack=10, over=1, subject=subject), now=now + number)
        keys = list(alone.client.scan_iter("*:set:*", count=10_000))
        sets = [key for key in keys if alone.client.type(key) == b"set"]
        usage = sum(alone.client.memory_usage(key) or 0 for key in keys)
        version = alone.client.info("server")["redis_version"]
        with capsys.disabled():
            print(f"\nredis {version}: a list of 1,000 in generations: {generations} takes {usage} bytes")
        assert {alone.client.object("encoding", key) for key in sets} == {b"intset"}
        assert sum(alone.client.scard(key) for key in sets) == 1000
        assert all(0 < alone.client.pttl(key) <= WEEK for key in keys)
        assert usage <= 16 * KIB
        alone.flush()


def test_a_family_of_1000_costs_at_most_16_kib_beside_its_lists(alone: Scripted) -> None:
    """Two lists of 500 each, which a mailing counts twice: once for the list, once for the family."""
    customer = Customer(alone, "a-customer-with-a-long-name.example")
    family, names = "a.rather.long.list.name*", ["a.rather.long.list.name1", "a.rather.long.list.name2"]
    for number in range(1000):
        name = f"{names[number % 2]}@a-customer-with-a-long-name.example"
        of_list = recipient(number, slack=10, over=1, subject=name)
        customer.charge(of_list, of_list._replace(limit="list-family", subject=family), now=NOON + number)
    usage = {}
    for subject in (family, *(f"{name}@a-customer-with-a-long-name.example" for name in names)):
        stem = f":set:{subject}".encode()
        keys = [key for key in alone.client.scan_iter("*:set:*", count=10_000) if stem in key]
        sets = [key for key in keys if alone.client.type(key) == b"set"]
        assert {alone.client.object("encoding", key) for key in sets} == {b"intset"}
        usage[sum(alone.client.scard(key) for key in sets), subject] = sum(
            alone.client.memory_usage(key) or 0 for key in keys
        )
    assert [members for members, _ in usage] == [1000, 500, 500]
    assert max(usage.values()) <= 16 * KIB


def test_every_key_expires(alone: Scripted) -> None:
    """Whatever is asked, each key that it leaves has a time to live."""
    customer, limits = (
        Customer(alone),
        [charge(3, limit="exact"), charge(limit="wide", max_=400), charge(0, limit="none")],
    )
    customer.charge(charge(30_000, type=CounterType.PACE, window=6000, limit="pace"), of=record("m5"))
    customer.give_back(record("m5"))
    for limit in limits:
        customer.charge(limit, of=record("m1", limit.limit))
    customer.charge(limits[0]._replace(cost=9, observed=True), of=record("m2"))
    customer.charge(limits[1], of=record("m3"), now=NOON + HOUR)
    customer.charge(limits[1], of=record("m3"), now=NOON + HOUR)
    customer.settle(*limits, of=record("m2", state="END-OF-MESSAGE", recipients=3))
    customer.settle(*limits, of=record("m4", state="END-OF-MESSAGE", recipients=3))
    customer.give_back(record("m3"))
    customer.charge(limits[0]._replace(type=CounterType.RING))
    customer.peek(*limits)
    ttl = {key: alone.client.pttl(key) for key in alone.client.scan_iter(count=1000)}
    kinds = {key.decode().split("}:")[1].split(":")[0] for key in ttl}
    assert kinds == {"ring", "log", "pace", "message", "episode", "events"}
    assert min(ttl.values()) > 0


def test_a_counter_outlives_its_window_and_not_by_much(customer: Customer) -> None:
    """A ring lives two sub-windows longer than its window from the first charge of a slot, a log one second."""
    for one, lives in ((charge(400), HOUR + 2 * MINUTE), (charge(100), HOUR + 1000)):
        customer.charge(one)
        customer.charge(one)
        left = customer.scripted.client.pttl(f"policyd:1:{{{customer.name}}}:{one.type}:hourly:someone")
        assert lives - 50_000 < left <= lives


def test_undoing_keeps_the_expiry(customer: Customer) -> None:
    """A give-back leaves the time to live as it is."""
    for one in (charge(400), charge(100)):
        customer.charge(one, of=record(one.type))
        customer.give_back(record(one.type))
        left = customer.scripted.client.pttl(f"policyd:1:{{{customer.name}}}:{one.type}:hourly:someone")
        assert left > HOUR - 10_000


def test_one_call_charges_all(alone: Scripted) -> None:
    """One EVALSHA does the whole of a request with four limits, and inside it no key is searched for."""
    charges = tuple(charge(limit=f"limit{n}") for n in range(4))
    first = _commands(alone, Call(Op.CHARGE, "one.example", record("m1"), charges))
    assert first == {"evalsha": 1, "time": 1, "exists": 5, "get": 4, "set": 5}
    next_one = _commands(alone, Call(Op.CHARGE, "one.example", record("m2"), charges))
    assert next_one in (
        {"evalsha": 1, "time": 1, "exists": 1, "get": 4, "setrange": 4, "set": 1},
        {"evalsha": 1, "time": 1, "exists": 1, "get": 4, "setrange": 8, "pexpire": 4, "set": 1},  # a minute is over
        {"evalsha": 1, "time": 1, "exists": 1, "get": 4, "set": 5},  # an hour is over
    )


def _commands(alone: Scripted, call: Call) -> dict[str, int]:
    alone.client.config_resetstat()
    alone.ask(call, 0)
    stats = {name.removeprefix("cmdstat_"): stat["calls"] for name, stat in alone.client.info("commandstats").items()}
    del stats["config|resetstat" if "config|resetstat" in stats else "config"]
    return stats


def test_the_binaries_are_of_two_versions() -> None:
    """Redis 6.2 is the floor and 7.0 what Debian has: both are tested."""
    assert set(binaries()) == {"system", "wheel"}
