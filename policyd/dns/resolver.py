"""Looks up what a judgement needs: a few questions at a time, and again only when their TTL has passed."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

import dns.asyncresolver
import dns.exception
import dns.nameserver
import dns.rdata
import dns.resolver
from dns.rdtypes.ANY.MX import MX
from dns.rdtypes.ANY.TXT import TXT

from policyd.conf.schema import Endpoint
from policyd.dns.answers import Answer, Answers, Question, Status

AT_ONCE = 20
"""Questions under way at a time."""

LIFETIME = 5.0
"""Seconds until a question counts as failed."""

_REMEMBERED = 10_000
_T = TypeVar("_T")


class Resolver:
    """Asks the name servers, or those of the system when there are none. Never raises for what they do."""

    def __init__(self, servers: Sequence[Endpoint], lifetime: float = LIFETIME) -> None:
        try:
            self._resolver = dns.asyncresolver.Resolver(configure=not servers)
        except dns.resolver.NoResolverConfiguration:
            self._resolver = dns.asyncresolver.Resolver(configure=False)
        if servers:
            self._resolver.nameservers = [dns.nameserver.Do53Nameserver(one.host, one.port) for one in servers]
        self._resolver.cache = dns.resolver.LRUCache(_REMEMBERED)
        self._lifetime = lifetime
        self._room = asyncio.Semaphore(AT_ONCE)

    async def judged(self, judge: Callable[[Answers], _T]) -> _T:
        """Return a judgement that misses no answer: what it missed is looked up, and it is made again."""
        known: dict[Question, Answer] = {}
        while True:
            answers = Answers(known)
            judgement = judge(answers)
            if not answers.missing:
                return judgement
            questions = list(answers.missing)
            known.update(zip(questions, await asyncio.gather(*map(self.answer, questions)), strict=True))

    async def answer(self, question: Question) -> Answer:
        """Return the answer to a question."""
        name, kind = question
        async with self._room:
            try:
                found = await self._resolver.resolve(
                    f"{name}.", kind.value, lifetime=self._lifetime, raise_on_no_answer=False, search=False
                )
            except dns.resolver.NXDOMAIN:
                return Answer(Status.NO_NAME)
            except (dns.exception.DNSException, OSError):
                return Answer(Status.FAILED)
        values = tuple(sorted(_text(record) for record in found.rrset or ()))
        return Answer(Status.FOUND if values else Status.NOTHING, values)


def _text(record: dns.rdata.Rdata) -> str:
    if isinstance(record, TXT):
        return b"".join(record.strings).decode("ascii", "backslashreplace")
    if isinstance(record, MX):
        return f"{record.preference} {record.exchange.to_text().lower().rstrip('.')}"
    return record.to_text()
