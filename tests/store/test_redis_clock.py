"""What time it is at Redis: never estimated too late, and believed anew when clocks change."""

from hypothesis import given
from hypothesis import strategies as st

from policyd.store.redis_clock import RedisClock

EPOCH = 1_780_000_000_000


def test_not_known_before_the_first_reply() -> None:
    """Then a deadline is long ago, so that the call is refused as late and asked again."""
    assert RedisClock().deadline(12.0) == RedisClock.ASK == 1


@given(st.lists(st.tuples(st.floats(0.0, 20.0), st.floats(0.0, 0.3)), min_size=1, max_size=40))
def test_a_deadline_never_lies_too_late(replies: list[tuple[float, float]]) -> None:
    """Whatever the replies' ways home took, Redis' clock is not past the deadline when the moment comes."""
    clock, local = RedisClock(), 1000.0
    for gap, way in replies:
        local += gap
        clock.heard(int(EPOCH + local * 1000), local + way)
        local += way
        assert clock.deadline(local + 0.25) <= EPOCH + (local + 0.25) * 1000


def test_the_fastest_reply_counts() -> None:
    """A slow answer does not make the estimate worse."""
    clock = RedisClock()
    clock.heard(EPOCH, 10.0)
    clock.heard(EPOCH + 1000, 11.2)
    assert clock.deadline(12.0) == EPOCH + 2000


def test_the_fastest_reply_counts_for_another_stretch() -> None:
    """A stretch that begins with a slow answer still has the best of the one before."""
    clock = RedisClock()
    clock.heard(EPOCH, 0.0)
    clock.heard(EPOCH + 61_000, 61.3)
    assert clock.deadline(62.0) == EPOCH + 62_000


def test_a_clock_that_was_stepped_back_is_believed_after_two_stretches() -> None:
    """An hour back: for two minutes deadlines lie an hour too late, then they are right."""
    clock = RedisClock()
    clock.heard(EPOCH, 0.0)
    for second in range(1, 140):
        clock.heard(EPOCH - 3_600_000 + second * 1000, float(second))
    assert clock.deadline(140.0) == EPOCH - 3_600_000 + 140_000


def test_an_estimate_fades() -> None:
    """After two minutes without a reply nothing is believed: the clocks may run apart."""
    clock = RedisClock()
    clock.heard(EPOCH, 0.0)
    assert clock.deadline(120.0) == EPOCH + 120_000
    assert clock.deadline(120.1) == RedisClock.ASK
    clock.heard(EPOCH + 500_000, 501.0)
    assert clock.deadline(501.0) == EPOCH + 500_000


def test_another_redis() -> None:
    """A new connection may lead to another Redis with another clock."""
    clock = RedisClock()
    clock.heard(EPOCH, 0.0)
    clock.forget()
    assert clock.deadline(0.0) == RedisClock.ASK
