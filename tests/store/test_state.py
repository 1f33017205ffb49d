"""What stands of an account: suspensions, raises of a limit, and locks, all in one small hash."""

import pytest

from policyd.model import Charge, Outcome, Suspension
from policyd.store.base import Call, Op
from tests.store.scripted import DAY, HOUR, MINUTE, NOON, Customer, charge, record

POP = charge(3, window=HOUR, limit="pop-checks", subject="bob@example.org", lock=2 * HOUR)


def stand(customer: Customer, field: str, value: str) -> None:
    """Write one field of the account's state."""
    customer.scripted.client.hset(f"policyd:1:{{{customer.name}}}:state", field, value)


def ask(customer: Customer, op: Op, *charges: Charge, suspensions: tuple[str, ...]) -> Outcome:
    """Ask for subjects that may be suspended."""
    of = None if op is Op.PEEK else record("m1")
    return customer.scripted.ask(Call(op, customer.name, of, charges, suspensions), NOON)


def lock_it(customer: Customer, now: int = NOON) -> Outcome:
    """Use the limit up and return the first refusal."""
    for _ in range(3):
        assert customer.charge(POP, now=now).admitted
    return customer.charge(POP, now=now)


def test_a_first_refusal_locks_for_a_fixed_time(customer: Customer) -> None:
    """Attempts never prolong a lock, and it opens by itself; the moment is in the first answer."""
    first = lock_it(customer).usages[0]
    assert first.fits_at == NOON + 2 * HOUR
    assert first.episode
    assert first.episode.started
    for minute in range(0, 120, 7):
        again = customer.charge(POP, now=NOON + minute * MINUTE).usages[0]
        assert (again.fits_at, again.episode) == (first.fits_at, first.episode._replace(started=False))
    assert not customer.charge(POP, now=first.fits_at - 1).admitted
    assert customer.charge(POP, now=first.fits_at).admitted


def test_a_lock_outlasts_the_window(customer: Customer) -> None:
    """Room in the window opens no lock."""
    lock_it(customer)
    later = customer.charge(POP, now=NOON + HOUR + MINUTE)
    assert (later.admitted, later.usages[0].used) == (False, 0)


def test_a_lock_is_of_one_subject_and_one_limit(customer: Customer) -> None:
    """A neighbour in the same domain goes on, and so does what another limit counts."""
    lock_it(customer)
    assert customer.charge(POP._replace(subject="alice@example.org")).admitted
    assert customer.charge(POP._replace(limit="other")).admitted


def test_a_refusal_by_another_limit_locks_nothing(customer: Customer) -> None:
    """Only the limit that is used up locks."""
    closed = charge(0, limit="closed")
    assert not customer.charge(POP, closed).admitted
    assert customer.charge(POP).admitted


def test_an_observed_limit_locks_nobody(customer: Customer) -> None:
    """Mode observe says when a mail would fit, as if there were no lock."""
    watched = POP._replace(observed=True)
    for _ in range(3):
        customer.charge(watched)
    over = customer.charge(watched)
    assert (over.admitted, over.usages[0].fits_at) == (True, NOON + HOUR)
    assert "state" not in customer.names()


def test_a_lock_shows_in_a_peek(customer: Customer) -> None:
    """Whoever looks is told when the lock opens, and changes nothing."""
    first = lock_it(customer).usages[0]
    assert first.episode
    seen = customer.peek(POP, now=NOON + HOUR + MINUTE).usages[0]
    assert (seen.used, seen.fits_at, seen.episode) == (0, first.fits_at, first.episode._replace(started=False))
    assert customer.peek(POP, now=first.fits_at).admitted
    assert "state" in customer.names()


def test_an_old_lock_goes_away(customer: Customer) -> None:
    """The field of a lock that is over is removed when its subject comes again; the hash expires by itself."""
    lock_it(customer)
    client, key = customer.scripted.client, f"policyd:1:{{{customer.name}}}:state"
    assert 0 < client.pttl(key) <= 2 * HOUR
    customer.charge(POP, now=NOON + 2 * HOUR)
    assert "state" not in customer.names()


def test_a_lock_shortens_no_life(customer: Customer) -> None:
    """What stands for longer in the hash stays."""
    stand(customer, "suspended:domain", "0 REF")
    key = f"policyd:1:{{{customer.name}}}:state"
    customer.scripted.client.pexpire(key, DAY)
    lock_it(customer)
    assert customer.scripted.client.pttl(key) > DAY - HOUR


def test_a_lock_that_is_taken_off_lets_through(customer: Customer) -> None:
    """Without its field there is no lock; the counter itself still counts."""
    lock_it(customer)
    customer.scripted.client.hdel(f"policyd:1:{{{customer.name}}}:state", "lock:pop-checks:bob@example.org")
    assert customer.charge(POP, now=NOON + HOUR).admitted


def test_what_can_never_fit_locks_nothing(customer: Customer) -> None:
    """A maximum of 0 refuses without a lock."""
    customer.charge(POP._replace(max=0))
    assert "state" not in customer.names()


def test_a_raise_is_the_maximum_until_its_end(customer: Customer) -> None:
    """The first call after the end is judged by the limit's own maximum again."""
    one = charge(2)
    stand(customer, "raise:hourly", f"3 {NOON + MINUTE}")
    used = [customer.charge(one).usages[0] for _ in range(4)]
    assert [(usage.used, usage.max, usage.fits_at > 0) for usage in used] == [
        (1, 3, False), (2, 3, False), (3, 3, False), (3, 3, True),
    ]  # fmt: skip
    assert customer.peek(one, now=NOON + MINUTE).usages[0].max == 2


def test_a_raise_is_of_one_limit(customer: Customer) -> None:
    """Other limits of the account keep their maximum."""
    stand(customer, "raise:hourly", f"3 {NOON + MINUTE}")
    assert customer.peek(charge(2, limit="other")).usages[0].max == 2


@pytest.mark.parametrize(("ends", "refused"), [(0, True), (NOON + 1, True), (NOON, False), (NOON - 1, False)])
def test_a_suspension_holds_until_its_end(customer: Customer, ends: int, refused: bool) -> None:
    """0 is: until it is resumed. Nothing is counted meanwhile."""
    stand(customer, "suspended:user:bob", f'{ends} 7KQ2M0XW9A {{"why": "complaints"}}')
    outcome = ask(customer, Op.CHARGE, charge(), suspensions=("domain", "user:bob"))
    expected = Suspension("user:bob", ends, "7KQ2M0XW9A") if refused else None
    assert (outcome.admitted, outcome.suspended) == (not refused, expected)
    assert customer.used(charge()) == (0 if refused else 1)


def test_the_first_suspension_named_is_told(customer: Customer) -> None:
    """Of two that hold, the caller's order decides."""
    for name in ("domain", "user:bob"):
        stand(customer, f"suspended:{name}", "0 REF")
    outcome = ask(customer, Op.PEEK, charge(), suspensions=("user:bob", "domain"))
    assert outcome.suspended == Suspension("user:bob", 0, "REF")


def test_a_suspension_needs_no_limit(customer: Customer) -> None:
    """A call without charges asks for suspensions alone."""
    assert ask(customer, Op.PEEK, suspensions=("domain",)).admitted
    stand(customer, "suspended:domain", "0 REF")
    assert ask(customer, Op.CHARGE, suspensions=("domain",)).suspended


def test_a_request_that_was_admitted_stays_admitted(customer: Customer) -> None:
    """Postfix asking again hears its first answer, whatever happened in between."""
    assert ask(customer, Op.CHARGE, charge(), suspensions=("domain",)).admitted
    stand(customer, "suspended:domain", "0 REF")
    again = ask(customer, Op.CHARGE, charge(), suspensions=("domain",))
    assert (again.admitted, again.repeated, again.suspended) == (True, True, None)


def test_settling_and_giving_back_heed_no_suspension(customer: Customer) -> None:
    """What was let through before is settled exactly."""
    customer.charge(charge(), of=record("m1"))
    stand(customer, "suspended:domain", "0 REF")
    assert ask(customer, Op.GIVE_BACK, suspensions=("domain",)).admitted
    assert customer.used(charge()) == 0
