"""What the senders were told, and what must be in Redis for it.

For each name that something was charged under, with "open" for what may be charged besides:

    accepted <= max                          in every window
    accepted <= Redis <= accepted + open     Redis loses nothing when it is killed (appendfsync always)
    Redis == accepted                        where nothing is open

Open is what had no clear answer, what was given up, and what Postfix refused after us, where a fault met it.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class Span(NamedTuple):
    """From when to when something happened, by the clock of the test."""

    start: float
    end: float

    def meets(self, others: Iterable["Span"]) -> bool:
        """Whether it has a moment in common with one of them."""
        return any(self.start <= other.end and other.start <= self.end for other in others)


class Open(NamedTuple):
    """A unit that a daemon may have left charged, if a fault met it."""

    span: Span
    daemon: int


class Cut(NamedTuple):
    """When calls of a daemon, or of all, may have lost their answers, or what it knew was lost."""

    span: Span
    daemon: int | None = None


def harmed(units: Iterable[Open], cuts: Sequence[Cut]) -> int:
    """Return how many units met a fault."""
    return sum(one.span.meets(cut.span for cut in cuts if cut.daemon in {None, one.daemon}) for one in units)


@dataclass
class Book:
    """What is known of one name: a span for each unit that was accepted, and what may be charged besides."""

    accepted: list[Span] = field(default_factory=list)
    open: list[Open] = field(default_factory=list)
    refused: int = 0


@dataclass
class Books:
    """The books of all names, and whom the list has mailed to."""

    names: dict[str, Book] = field(default_factory=dict)
    members: set[str] = field(default_factory=set)
    strangers: list[Open] = field(default_factory=list)
    paced: list[Span] = field(default_factory=list)
    fates: Counter[str] = field(default_factory=Counter)

    def of(self, name: str) -> Book:
        """Return the book of a name."""
        return self.names.setdefault(name, Book())

    def add(self, other: "Books") -> None:
        """Take over what another sender knows."""
        for name, book in other.names.items():
            mine = self.of(name)
            mine.accepted += book.accepted
            mine.open += book.open
            mine.refused += book.refused
        self.members |= other.members
        self.strangers += other.strangers
        self.paced += other.paced
        self.fates += other.fates


def fullest_window(accepted: Sequence[Span], window: float) -> int:
    """Return the most that were surely charged within one window: asked after its begin, answered before its end."""
    ends = sorted(accepted, key=lambda one: one.end)
    most = 0
    for number, last in enumerate(ends):
        first = bisect_right(ends, last.end - window, hi=number, key=lambda one: one.end)
        most = max(most, sum(one.start > last.end - window for one in ends[first : number + 1]))
    return most
