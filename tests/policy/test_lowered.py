"""Which limits let less through than before."""

from pathlib import Path

import pytest

from policyd.model import UNLISTED
from policyd.policy.lowered import Lowered, lowered
from tests.support.configs import loaded

LIMITS = "{hourly: {kind: rate, max: 400, window: 1h}, daily: {kind: rate, max: unlimited, window: 1d}}"
PLANS = "{shared: {apply: [hourly, daily]}, more: {extends: shared, change: {hourly: {max: 1500}}}}"
DOMAINS = "domains: {a.example: shared, b.example: more, c.example: {change: {hourly: {max: 50}}}}"


def found(directory: Path, **new: str) -> list[Lowered]:
    """Return what is lowered when these sections change."""
    base = {"accounts": DOMAINS, "limits": LIMITS, "plans": PLANS}
    return lowered(loaded(directory, **base), loaded(directory, **{**base, **new}))


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        ({}, []),
        ({"limits": LIMITS.replace("400", "500")}, []),
        ({"limits": LIMITS.replace("400", "300")}, [Lowered("a.example", "hourly", 300)]),
        ({"plans": PLANS.replace("1500", "1400")}, [Lowered("b.example", "hourly", 1400)]),
        ({"accounts": DOMAINS.replace("b.example: more", "b.example: shared")}, [Lowered("b.example", "hourly", 400)]),
        ({"accounts": DOMAINS.replace("50}", "0}")}, [Lowered("c.example", "hourly", 0)]),
        ({"limits": LIMITS.replace("400", "unlimited")}, []),
        ({"limits": LIMITS.replace("max: unlimited", "max: 10")}, []),
        ({"accounts": "domains: {b.example: shared, d.example: shared}"}, [Lowered("b.example", "hourly", 400)]),
    ],
    ids=["nothing", "raised", "limit", "plan", "moved", "domain", "unlimited", "was-unlimited", "gone-and-new"],
)
def test_who_has_less_than_before(new: dict[str, str], expected: list[Lowered], tmp_path: Path) -> None:
    """Each account by the terms that it has, wherever they were written; what kept no counter is not over."""
    assert found(tmp_path, **new) == expected


def test_relayed_traffic_has_less_too(tmp_path: Path) -> None:
    """It belongs to no domain."""
    limits = "{hourly: {kind: rate, max: 4, window: 1h}, relay: {kind: rate, max: MAX, window: 1h, traffic: [relayed]}}"
    plans = "{shared: {apply: [hourly]}}"
    old, new = (loaded(tmp_path, limits=limits.replace("MAX", most), plans=plans) for most in ("20", "10"))

    assert lowered(old, new) == [Lowered(UNLISTED, "relay", 10)]


def test_all_accounts_of_a_plan_are_named(tmp_path: Path) -> None:
    """The terms that they share are compared once."""
    domains = "domains: {a.example: shared, b.example: shared}"
    limits = LIMITS.replace("400", "300")
    expected = [Lowered("a.example", "hourly", 300), Lowered("b.example", "hourly", 300)]

    old, new = (loaded(tmp_path, accounts=domains, limits=text, plans=PLANS) for text in (LIMITS, limits))

    assert lowered(old, new) == expected
