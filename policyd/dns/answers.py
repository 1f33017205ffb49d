"""Questions to the DNS, and the answers that a judgement has so far. Pure.

A judgement asks ``Answers`` as if all were known already. What is not yet known counts as
FAILED and is noted as missing; the resolver looks it up, and the judgement is made again.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """The types of records that are asked for."""

    A = "A"
    AAAA = "AAAA"
    MX = "MX"
    TXT = "TXT"


class Status(StrEnum):
    """What came of a question. NOTHING: the name has no such record; NO_NAME: there is no such name."""

    FOUND = "found"
    NOTHING = "nothing"
    NO_NAME = "no such name"
    FAILED = "failed"


class Question(NamedTuple):
    """A name, as A-labels without a trailing dot, and the type of its records."""

    name: str
    kind: Kind


class Answer(NamedTuple):
    """The records as text: an address, ``10 mx.example.net``, or the strings of a TXT record joined."""

    status: Status
    values: tuple[str, ...] = ()


_UNKNOWN = Answer(Status.FAILED)


class Answers:
    """The answers that are known; those that were missed are in ``missing``."""

    def __init__(self, known: Mapping[Question, Answer]) -> None:
        self._known = known
        self.missing: set[Question] = set()

    def ask(self, name: str, kind: Kind) -> Answer:
        """Return the answer to a question, FAILED while it is missing."""
        question = Question(name, kind)
        if question not in self._known:
            self.missing.add(question)
        return self._known.get(question, _UNKNOWN)

    def addresses(self, name: str) -> tuple[str, ...] | None:
        """Return the addresses of a name, none where it has none; None where that cannot be known."""
        both = (self.ask(name, Kind.A), self.ask(name, Kind.AAAA))
        if any(answer.status is Status.FAILED for answer in both):
            return None
        return both[0].values + both[1].values
