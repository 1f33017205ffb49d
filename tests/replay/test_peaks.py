"""The most in any window."""

from hypothesis import given
from hypothesis import strategies as st

from policyd.replay.peaks import Peak


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 5)), min_size=1, max_size=30), st.integers(1, 20))
def test_as_the_obvious_sum(steps: list[tuple[int, int]], window: int) -> None:
    """At each moment the units of the window before it are added up; the largest sum counts."""
    peak, at, added = Peak(), 0, list[tuple[int, int]]()
    for step, units in steps:
        at += step
        added.append((at, units))
        peak.add(at, units, window)
    sums = {end: sum(units for at, units in added if end - window < at <= end) for end, _ in added}

    assert peak.most == max(sums.values())
    assert sums[peak.at] == peak.most
