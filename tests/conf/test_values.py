"""Readers of single values."""

from policyd.conf.issues import At, Place
from policyd.conf.nodes import Scalar
from policyd.conf.values import Placed, Spot, flag
from policyd.errors import Issue


def test_a_value_that_keeps_its_place_is_described_as_the_value() -> None:
    """The place is for later checks, not for the admin."""
    issues: list[Issue] = []
    spot = Spot(flag())

    assert (spot.example, spot.schema()) == (flag().example, flag().schema())
    assert spot.read(Scalar("true", Place("f", 1, 2)), At(issues)) == Placed(value=True, place=Place("f", 1, 2))
    assert spot.read(Scalar("no", Place("f", 1, 2)), At(issues)) is None
    assert len(issues) == 1
