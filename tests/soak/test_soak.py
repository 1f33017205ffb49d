"""A minute of load and faults, after which all books are right."""

import pytest

from tests.soak.books import Span, fullest_window
from tests.soak.load import BOXES, CALM, LISTS
from tests.soak.run import soak

SECONDS, SEED = 60, 1


@pytest.mark.e2e
def test_soak() -> None:
    """Whatever was killed, frozen, reloaded, suspended and given up: nothing is charged twice or passes a maximum."""
    wrong, books = soak(SECONDS, SEED, print)

    assert wrong == []
    assert books.fates.total() > 1_000
    assert min(books.fates.values()) > 20
    assert all(books.of(name).accepted for name in (*BOXES, CALM, LISTS))


def test_the_fullest_window() -> None:
    """Counted is what is in the window for sure: begun after its start, ended before its end."""
    spans = [Span(0, 1), Span(2, 3), Span(2, 12.5), Span(9, 10), Span(11.5, 12)]

    assert [fullest_window(spans, window) for window in (1, 8.5, 10.6, 13)] == [1, 2, 4, 5]
