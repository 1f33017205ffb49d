"""A request that Postfix repeats gets its first answer, and is charged once."""

import pytest

from policyd.model import CounterType
from policyd.store.base import Call, Op
from tests.store.scripted import KEEP, MINUTE, NOON, RATE_TYPES, Customer, charge, record


@pytest.mark.parametrize("type_", RATE_TYPES)
def test_a_repeat_is_charged_once(customer: Customer, type_: CounterType) -> None:
    """The same request of the same message again, even much later, is answered as the first time."""
    one = charge(100, type=type_)
    first = customer.charge(one, of=record("m1"))
    again = customer.charge(one, of=record("m1"), now=NOON + 5 * MINUTE)
    assert again == first._replace(repeated=True, now=NOON + 5 * MINUTE)
    assert customer.used(one) == 1


def test_only_the_last_request_can_be_repeated(customer: Customer) -> None:
    """Another recipient in between makes the first one a new request: Postfix asks one thing at a time."""
    one = charge()
    for recipient in ("a@x.test", "b@x.test", "a@x.test"):
        assert not customer.charge(one, of=record("m1", recipient)).repeated
    assert customer.used(one) == 3


def test_another_message_host_or_account_is_another_request(customer: Customer) -> None:
    """An instance is unique for each Postfix host only."""
    one = charge()
    for of in (record("m1"), record("m2"), record("m1")._replace(host="mx2")):
        assert not customer.charge(one, of=of).repeated
    assert not Customer(customer.scripted).charge(one, of=record("m1")).repeated
    assert customer.used(one) == 3


def test_without_an_instance_nothing_is_remembered(customer: Customer) -> None:
    """A request that names no message cannot be told from the next one: both are charged."""
    one = charge()
    assert not any(customer.charge(one, of=record("")).repeated for _ in range(2))
    assert customer.names() == {"ring:hourly:someone"}


def test_a_refused_request_of_an_open_message_is_refused_again(customer: Customer) -> None:
    """The first answer is given again even when there is room by now, with the same reference, and no new episode."""
    one = charge(1)
    customer.charge(one, of=record("m1", "a@x.test"))
    first = customer.charge(one, of=record("m1", "b@x.test"))
    customer.give_back(record("m2"))
    again = customer.charge(one, of=record("m1", "b@x.test"), now=NOON + 61 * MINUTE)
    assert (first.admitted, again.admitted, again.repeated) == (False, False, True)
    assert first.usages[0].episode
    assert again.usages[0].episode == first.usages[0].episode._replace(started=False)


def test_a_first_request_that_was_refused_leaves_no_record(customer: Customer) -> None:
    """Nothing was charged, so there is nothing to remember: a repeat is simply asked again."""
    one = charge(0)
    customer.charge(one, of=record("m1"))
    assert not customer.charge(one, of=record("m1")).repeated
    assert not any(key.startswith("message:") for key in customer.names())


def test_a_record_lives_as_long_as_it_is_told_after_the_last_request(customer: Customer) -> None:
    """Each request, and each repeat, sets the time to live again; then the same request is a new one."""
    one, client = charge(), customer.scripted.client
    key = f"policyd:1:{{{customer.name}}}:message:mx:m1"
    for request in (record("m1", keep=50_000), record("m1", "b@x.test", keep=90_000), record("m1", "b@x.test")):
        customer.charge(one, of=request)
        assert request.keep - 10_000 < client.pttl(key) <= request.keep
    assert client.pttl(key) <= KEEP
    client.delete(key)
    assert not customer.charge(one, of=record("m1", "b@x.test")).repeated


def test_a_repeat_under_more_limits_than_before(customer: Customer) -> None:
    """What was admitted before a reload stays admitted, and shows the limits of now."""
    old, new = charge(limit="old"), charge(limit="new")
    customer.charge(old, of=record("m1"))
    again = customer.charge(old, new, of=record("m1"))
    assert (again.admitted, again.repeated) == (True, True)
    assert [usage.used for usage in again.usages] == [1, 0]


def test_a_repeat_under_fewer_limits_than_before(customer: Customer) -> None:
    """The same when a limit went away."""
    old, gone = charge(limit="old"), charge(limit="gone")
    customer.charge(old, gone, of=record("m1"))
    assert [usage.used for usage in customer.charge(old, of=record("m1")).usages] == [1]


def test_a_refusal_under_limits_that_are_gone_is_asked_anew(customer: Customer) -> None:
    """A refusal charged nothing, so that the repeat may be judged by the limits of now."""
    old, gone = charge(limit="old"), charge(0, limit="gone")
    customer.charge(old, of=record("m1", "a@x.test"))
    assert not customer.charge(old, gone, of=record("m1", "b@x.test")).admitted
    anew = customer.charge(old, of=record("m1", "b@x.test"))
    assert (anew.admitted, anew.repeated, anew.usages[0].used) == (True, False, 2)


def test_a_long_recipient_is_told_from_another(customer: Customer) -> None:
    """Fingerprints over 128 bytes are hashed, not cut."""
    one, long = charge(), "x" * 200
    customer.charge(one, of=record("m1", long + "a"))
    assert not customer.charge(one, of=record("m1", long + "b")).repeated
    assert customer.charge(one, of=record("m1", long + "b")).repeated


def test_a_call_after_its_deadline_is_not_charged(customer: Customer) -> None:
    """``not_after`` is the last moment at which Redis may charge."""
    call = Call(Op.CHARGE, customer.name, record("m1"), (charge(),))
    late = customer.scripted.reply(call, NOON, not_after=NOON - 1)
    assert late == [3, NOON]
    assert customer.names() == set()
    assert customer.scripted.ask(call, NOON, not_after=NOON).admitted
