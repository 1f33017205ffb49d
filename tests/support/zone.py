"""Answers of the DNS for tests of judgements, which ask nobody."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from policyd.dns.answers import Answer, Answers, Kind, Question, Status

T = TypeVar("T")
FAILED = "FAILED"
"""In place of records: there is no answer."""

Zone = Mapping[str, Mapping[str, list[str] | str]]
"""Records by name and type. A name that is not in it does not exist."""


def judged(zone: Zone, judge: Callable[[Answers], T]) -> T:
    """Return a judgement by the records of a zone; each question is answered only once it was missed."""
    known: dict[Question, Answer] = {}
    while True:
        answers = Answers(known)
        judgement = judge(answers)
        if not answers.missing:
            return judgement
        assert not answers.missing & known.keys()
        known |= {question: _answer(zone, question) for question in answers.missing}


def _answer(zone: Zone, question: Question) -> Answer:
    if question.name not in zone:
        return Answer(Status.NO_NAME)
    records = zone[question.name].get(Kind(question.kind).value, [])
    if isinstance(records, str):
        return Answer(Status.FAILED)
    return Answer(Status.FOUND if records else Status.NOTHING, tuple(records))
