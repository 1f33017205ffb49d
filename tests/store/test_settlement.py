"""Settling replaces a message's receipts; giving back undoes them, into the slots that they came from."""

import pytest

from policyd.model import Charge, CounterType, Outcome
from policyd.store.base import Record
from tests.store.scripted import HOUR, MINUTE, NOON, RATE_TYPES, Customer, charge, record

TYPES = RATE_TYPES
RECIPIENTS = ("a@x.test", "b@x.test", "c@x.test")


def rcpt(customer: Customer, *charges: Charge, recipients: tuple[str, ...] = RECIPIENTS, now: int = NOON) -> Record:
    """Charge a message's recipients one by one and return the record of the last request."""
    last = record("m1")
    for name in recipients:
        last = record("m1", name)
        assert customer.charge(*charges, of=last, now=now).admitted
    return last


def end(recipients: int, uncharged: int = 0) -> Record:
    """Return the record of the END-OF-MESSAGE of a message with so many recipients."""
    return record("m1", "", "END-OF-MESSAGE", recipients=recipients, uncharged=uncharged)


@pytest.mark.parametrize("type_", RATE_TYPES)
@pytest.mark.parametrize(
    ("recipients", "uncharged", "used"),
    [(3, 0, 3), (2, 0, 2), (1, 0, 1), (5, 0, 5), (4, 1, 3), (6, 2, 4)],
    ids=["all", "one refused", "two refused", "two never asked", "one exempt", "exempt and never asked"],
)
def test_receipts_sum_to_the_recipients(
    customer: Customer, type_: CounterType, recipients: int, uncharged: int, used: int
) -> None:
    """What Postfix counts at the end of the message is what the message has cost."""
    one = charge(100, type=type_)
    customer.charge(one, of=record("another"))
    rcpt(customer, one)
    outcome = customer.settle(one, of=end(recipients, uncharged))
    assert outcome == Outcome(True, False, NOON, outcome.usages)
    assert outcome.usages[0].used == customer.used(one) == used + 1


@pytest.mark.parametrize("type_", RATE_TYPES)
def test_settling_goes_past_max(customer: Customer, type_: CounterType) -> None:
    """A settlement is never refused: a recipient that was never asked about is charged past max."""
    one = charge(3, type=type_)
    rcpt(customer, one)
    outcome = customer.settle(one, of=end(5))
    assert (outcome.admitted, outcome.usages[0].used, outcome.usages[0].episode) == (True, 5, None)
    assert not customer.charge(one).admitted


@pytest.mark.parametrize("type_", RATE_TYPES)
def test_settling_without_a_record_charges_all(customer: Customer, type_: CounterType) -> None:
    """An END-OF-MESSAGE of which nothing is known is charged whole, forced, and says so."""
    one = charge(2, type=type_)
    outcome = customer.settle(one, of=end(3))
    assert (outcome.admitted, outcome.unknown, outcome.usages[0].used) == (True, True, 3)


def test_a_repeated_settlement_charges_nothing(customer: Customer) -> None:
    """The answer to an END-OF-MESSAGE is remembered like any other, known message or not."""
    one = charge()
    rcpt(customer, one)
    for unknown in (False, True):
        of = end(7)._replace(instance="nobody's" if unknown else "m1")
        first = customer.settle(one, of=of)
        assert customer.settle(one, of=of) == first._replace(repeated=True)
        assert first.unknown == unknown
    assert customer.used(one) == 14


def test_a_settlement_after_a_settlement_changes_nothing(customer: Customer) -> None:
    """A message is settled once, even if it is named otherwise the second time."""
    one = charge()
    rcpt(customer, one)
    customer.settle(one, of=end(3))
    customer.settle(one, of=end(9)._replace(fingerprint="END-OF-MESSAGE a@x.test"))
    assert customer.used(one) == 3


def test_a_charge_after_a_settlement_is_a_charge(customer: Customer) -> None:
    """A message that goes on after its end (no Postfix does that) is counted."""
    one = charge()
    rcpt(customer, one)
    customer.settle(one, of=end(3))
    assert customer.charge(one, of=record("m1", "late@x.test")).usages[0].used == 4


def test_settling_takes_back_from_the_oldest_slots(customer: Customer) -> None:
    """What stays counts for longer, never for shorter."""
    one = charge(400)
    for minute, name in enumerate(RECIPIENTS):
        customer.charge(one, of=record("m1", name), now=NOON + 10 * minute * MINUTE)
    customer.settle(one, of=end(1), now=NOON + 20 * MINUTE)
    assert customer.used(one, now=NOON + 80 * MINUTE) == 1
    assert customer.used(one, now=NOON + 81 * MINUTE) == 0


def test_a_limit_that_skips_a_recipient_is_settled_without_him(customer: Customer) -> None:
    """Recipients that a limit does not look at are in Postfix's count, and not in that limit's sum."""
    every, remote = charge(limit="all"), charge(limit="remote")
    rcpt(customer, every, remote, recipients=("a@x.test",))
    hosted = remote._replace(cost=0, skipped=True)
    for name in ("bob@here.test", "al@here.test", "al@here.test"):
        customer.charge(every, hosted, of=record("m1", name))
    customer.settle(every, remote, of=end(4))
    assert (customer.used(every), customer.used(remote)) == (4, 2)


def test_a_limit_that_looked_at_nobody_stays_out(customer: Customer) -> None:
    """A limit that came with a reload in the middle of a message does not charge its earlier recipients."""
    old, new = charge(limit="old"), charge(limit="new")
    rcpt(customer, old)
    customer.settle(old, new, of=end(3))
    assert (customer.used(old), customer.used(new)) == (3, 0)


@pytest.mark.parametrize(("counted", "used"), [(10, 4), (4, 4), (3, 3), (12, 4), (13, 5)])
def test_who_costs_nothing_makes_nobody_free(customer: Customer, counted: int, used: int) -> None:
    """Of 4 charged and 8 uncharged recipients Postfix counts some: as many as can be were charged ones."""
    one = charge()
    rcpt(customer, one, recipients=("a", "b", "c", "d"))
    customer.settle(one, of=end(counted, uncharged=8))
    assert customer.used(one) == used


def test_messages_and_bytes_are_charged_once(customer: Customer) -> None:
    """A limit on messages counts one, a limit on bytes the size, however many recipients there are."""
    messages, size = charge(limit="messages", once=True), charge(10**9, 4000, limit="bytes", once=True)
    rcpt(customer, messages, size)
    assert (customer.used(messages), customer.used(size)) == (1, 4000)
    customer.settle(messages, size._replace(cost=4321), of=end(3))
    assert (customer.used(messages), customer.used(size)) == (1, 4321)


def test_a_message_is_charged_once_for_the_first_recipient_that_counts(customer: Customer) -> None:
    """A limit on messages that did not look at the first recipient looks at the second, and at no other."""
    messages = charge(limit="messages", once=True)
    customer.charge(charge(), messages._replace(cost=0, skipped=True), of=record("m1", "bob@here.test"))
    assert customer.used(messages) == 0
    rcpt(customer, charge(), messages)
    assert customer.used(messages) == 1


def test_a_message_that_proves_smaller_gives_bytes_back(customer: Customer) -> None:
    """The size that MAIL FROM announced is replaced by what came."""
    size = charge(10**9, 4000, limit="bytes", once=True)
    rcpt(customer, size)
    customer.settle(size._replace(cost=67), of=end(3))
    assert customer.used(size) == 67


def test_nobody_left_costs_nothing(customer: Customer) -> None:
    """A message without recipients (all were refused later) costs neither recipients nor a message."""
    one, messages = charge(), charge(limit="messages", once=True)
    rcpt(customer, one, messages)
    customer.settle(one, messages, of=end(0))
    assert (customer.used(one), customer.used(messages)) == (0, 0)


@pytest.mark.parametrize("type_", RATE_TYPES)
def test_given_back_into_the_slots_that_they_came_from(customer: Customer, type_: CounterType) -> None:
    """After a give-back the counter holds, at each moment, what the other messages have put there."""
    one, others = charge(100, type=type_), record("other")
    for minute, name in enumerate(RECIPIENTS):
        at = NOON + 10 * minute * MINUTE
        customer.charge(one._replace(cost=5), of=others._replace(fingerprint=name), now=at)
        last = record("m1", name)
        customer.charge(one, of=last, now=at)
    assert customer.give_back(last, now=NOON + 20 * MINUTE).admitted
    strict = MINUTE if type_ is CounterType.RING else 0
    moments = [NOON + HOUR + 10 * minute * MINUTE + strict for minute in range(3)]
    assert [customer.used(one, now=at - 1) for at in moments] == [15, 10, 5]
    assert customer.used(one, now=moments[-1]) == 0
    assert not any(key.startswith("message:mx:m1") for key in customer.names())


def test_given_back_once(customer: Customer) -> None:
    """The record is gone with its receipts: again changes nothing, and the same request would be a new one."""
    one = charge()
    last = rcpt(customer, one)
    assert customer.give_back(last).admitted
    assert not customer.give_back(last).admitted
    assert not customer.charge(one, of=last).repeated
    assert customer.used(one) == 1


def test_not_given_back_after_another_request(customer: Customer) -> None:
    """A message that was heard of since, perhaps by another daemon, is alive."""
    one = charge()
    first = record("m1", "a@x.test")
    customer.charge(one, of=first)
    customer.charge(one, of=record("m1", "b@x.test"))
    assert not customer.give_back(first).admitted
    assert customer.used(one) == 2


def test_not_given_back_after_it_was_settled(customer: Customer) -> None:
    """What was delivered is charged."""
    one = charge()
    rcpt(customer, one)
    customer.settle(one, of=end(3))
    assert not customer.give_back(end(3)).admitted
    assert customer.used(one) == 3


def test_an_end_after_a_give_back_charges_again(customer: Customer) -> None:
    """A message that comes to its end after all is charged whole, past max if need be."""
    one = charge(3)
    last = rcpt(customer, one)
    customer.give_back(last)
    customer.charge(one._replace(cost=2))
    outcome = customer.settle(one, of=end(3))
    assert (outcome.unknown, outcome.usages[0].used) == (True, 5)


@pytest.mark.parametrize("type_", RATE_TYPES)
@pytest.mark.parametrize("minutes", [59, 60, 61, 200])
def test_what_has_left_the_window_is_not_given_back_twice(customer: Customer, type_: CounterType, minutes: int) -> None:
    """Giving back, or settling, units that do not count any more takes nothing from others."""
    one, later = charge(100, type=type_), NOON + minutes * MINUTE
    last = rcpt(customer, one)
    customer.charge(one._replace(cost=5), now=later)
    before = customer.used(one, now=later)
    gone = before == 5
    customer.give_back(last, now=later)
    assert customer.used(one, now=later) == 5
    assert gone == (minutes > (60 if type_ is CounterType.RING else 59))


def test_a_settlement_after_the_window_shows_what_counts(customer: Customer) -> None:
    """Fewer recipients after the window has passed leave no negative use."""
    one = charge(100)
    rcpt(customer, one)
    outcome = customer.settle(one, of=end(1), now=NOON + 2 * HOUR)
    assert outcome.usages[0].used == customer.used(one, now=NOON + 2 * HOUR) == 0


def test_what_was_collapsed_is_not_given_back(customer: Customer) -> None:
    """A ring that has got another width does not know the old slots: strict, never lax."""
    one = charge(400)
    last = rcpt(customer, one)
    longer = one._replace(window=2 * HOUR)
    customer.charge(longer, of=record("m2"))
    customer.give_back(last)
    assert customer.used(longer) == 4


def test_give_back_after_the_counter_has_expired(customer: Customer) -> None:
    """Receipts may outlive their counter."""
    one = charge(400)
    last = rcpt(customer, one)
    customer.scripted.client.delete(f"policyd:1:{{{customer.name}}}:ring:hourly:someone")
    assert customer.give_back(last).admitted
    assert customer.names() == set()


def test_a_record_is_bounded(customer: Customer) -> None:
    """A message with more recipients than its record has places for gives back what it can, never more."""
    one = charge(100, observed=True)
    for number in range(300):
        last = record("m1", f"{number}@x.test")
        customer.charge(one, of=last, now=NOON + number)
    customer.charge(one._replace(cost=7), now=NOON + 300)
    assert len(customer.scripted.client.get(f"policyd:1:{{{customer.name}}}:message:mx:m1") or b"") in range(1000, 2500)
    customer.give_back(last, now=NOON + 300)
    assert 7 <= customer.used(one, now=NOON + 300) <= 307
