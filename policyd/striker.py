"""Suspends who was caught often enough: by the strikes of a limit, or by mail to spam traps.

What was caught waits in bounded memory and is counted with the upkeep, off the answer's path. Each
episode over a limit is known to one daemon as new, so each is one strike.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

from policyd.conf.penalty import SpamTraps, Strikes
from policyd.errors import StoreError
from policyd.event import Event, EventKind
from policyd.model import Suspension, Traffic
from policyd.policy.decide import duration
from policyd.policy.strikes import culprit, sentence
from policyd.policy.suspendable import SubjectKind
from policyd.store.offences import Offences, Tally
from policyd.suspension import Suspended, new_ref

REMEMBERED = 30 * 86_400_000
"""How long a suspension makes the next one longer, in ms."""

WAITING = 1_000
"""What may wait to be counted; more is dropped."""

_WHO = "policyd"
_log = logging.getLogger("policyd.strikes")


class Suspending(Protocol):
    """Who puts suspensions into force."""

    async def put(self, suspended: Suspended) -> None:
        """Put one into force. Raises StoreError."""

    def find(self, account: str, names: Iterable[str], now: int) -> Suspension | None:
        """Return the first suspension of an account that is in force under one of the names."""


class Telling(Protocol):
    """Who keeps the trails of events."""

    async def write(self, event: Event) -> None:
        """Write what somebody did. Raises StoreError."""


class _Caught(NamedTuple):
    """Somebody who was caught, by a limit or (``limit`` "") by a trap."""

    account: str
    name: str
    who: str
    at: int
    member: str
    limit: str
    rule: Strikes | SpamTraps


class Striker:
    """Counts who was caught, and suspends."""

    def __init__(
        self, offences: Offences, suspensions: Suspending, trail: Telling, trapped: Callable[[], None]
    ) -> None:
        """Take the parts; ``trapped`` is called for each mail to a trap."""
        self._offences, self._suspensions, self._trail, self._trapped = offences, suspensions, trail, trapped
        self._waiting: list[_Caught] = []

    def struck(self, traffic: Traffic, limit: str, strikes: Strikes, ref: str, at: int) -> None:
        """Note a new episode over a limit that has strikes, at ``at`` in ms."""
        name = culprit(traffic, domain=strikes.domain)
        if name:
            self._note(_Caught(traffic.account, name, traffic.user, at, ref, limit, strikes))

    def trapped(self, traffic: Traffic, trap: str, message: str, traps: SpamTraps, at: int) -> None:
        """Note a mail to a trap; ``message`` tells one from another where they need not be to distinct traps."""
        name = culprit(traffic)
        if name:
            self._trapped()
            member = trap if traps.distinct else f"{trap} {message}"
            self._note(_Caught(traffic.account, name, traffic.user, at, member, "", traps))

    async def flush(self) -> None:
        """Count what was noted. Never raises because of the store, which may lose some then."""
        waiting, self._waiting = self._waiting, []
        for caught in waiting:
            try:
                await self._count(caught)
            except StoreError as error:
                _log.warning("%s of %s was not counted: %s", caught.limit or "a trap", caught.account, error)
            await asyncio.sleep(0)

    def _note(self, caught: _Caught) -> None:
        if len(self._waiting) < WAITING:
            self._waiting.append(caught)

    async def _count(self, caught: _Caught) -> None:
        rule, account, name = caught.rule, caught.account, caught.name
        if isinstance(rule, SpamTraps):
            count = await self._offences.count(Tally("traps", account, name), caught.member, caught.at, rule.within)
            why = f"mail {count} of {rule.count} to {_traps(rule)} within {duration(rule.within)}"
            await self._tell(caught, EventKind.TRAP, f"{caught.member}: {why}")
            if count >= rule.count and rule.suspends:
                await self._suspend(caught, rule.lasts, why)
            return
        strikes = Tally("strikes", account, name, caught.limit)
        count = await self._offences.count(strikes, caught.member, caught.at, rule.within)
        why = f"strike {count} of {rule.count} of {caught.limit} within {duration(rule.within)}"
        await self._tell(caught, EventKind.STRIKE, why, caught.member)
        if count >= rule.count:
            ref = new_ref()
            sentences = await self._offences.count(Tally("sentences", account, name), ref, caught.at, REMEMBERED)
            await self._suspend(caught, sentence(rule, sentences - 1), why, ref)
            await self._offences.forgive(strikes)

    async def _suspend(self, caught: _Caught, lasts: int, why: str, ref: str = "") -> None:
        subject = _subject(caught)
        until = caught.at + lasts if lasts else 0
        if self._suspensions.find(caught.account, [caught.name], caught.at):
            return  # it may be somebody's, for longer
        suspended = Suspended(caught.account, caught.name, subject, caught.at, until, _WHO, why, ref or new_ref())
        await self._suspensions.put(suspended)
        await self._tell(caught, EventKind.SUSPEND, why, suspended.ref, _WHO)

    async def _tell(self, caught: _Caught, kind: EventKind, why: str, ref: str = "", who: str = "") -> None:
        subject = _subject(caught)
        _log.warning("%s: %s (%s)", kind, subject, why)
        event = Event(caught.at, kind, caught.account, subject, who or caught.who, why)
        await self._trail.write(event._replace(limit=caught.limit, ref=ref))


def _traps(traps: SpamTraps) -> str:
    return "distinct spam traps" if traps.distinct else "spam traps"


def _subject(caught: _Caught) -> str:
    """Return the one who was caught as an admin names him."""
    kind, _, address = caught.name.partition(":")
    return caught.account if kind == SubjectKind.DOMAIN else address if kind == SubjectKind.USER else caught.name
