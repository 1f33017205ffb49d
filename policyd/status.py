"""How much of each limit is used: what ``policyd status`` shows, asked of the store without a change."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from policyd.conf.schema import Config, RateLimit, SizeLimit, Terms
from policyd.model import NEVER_FITS, UNLISTED, Mode, Per, Usage
from policyd.policy.decide import moment
from policyd.policy.limits import rate_look
from policyd.policy.logins import is_client_account
from policyd.policy.roster import KnownLists, Roster
from policyd.policy.schedule import openings
from policyd.policy.sizes import looks_at, size_look, size_subject
from policyd.policy.subject import find_subject
from policyd.raises import Raises
from policyd.store.base import Call, Op
from policyd.store.index import Entry, Index
from policyd.store.redis import RedisStore

_ADDRESSES = frozenset({Per.USER, Per.SENDER, Per.LIST, Per.MAILBOX})
"""What is counted for an address; one that has mailed nothing as a list is taken for a person."""

_WEEK = 7 * 86_400_000


@dataclass(frozen=True, slots=True)
class Gauge:
    """One counter beside its limit. ``resumes`` is empty while one more still fits.

    ``max`` is a temporary raise's while there is one, ``raised_until`` its end. ``history`` is what the
    last window held, part by part, where that was looked at.
    """

    account: str
    plan: str
    limit: str
    subject: str
    counts: str
    used: int
    max: int
    window: int
    mode: str
    resumes: str
    origin: str
    would_refuse: str = ""
    raised_until: str = ""
    history: tuple[int, ...] = ()


class Status:
    """Answers what is used, under the Config that is passed in; ``roster`` returns the newest one."""

    def __init__(self, store: RedisStore, index: Index, raises: Raises, roster: Callable[[], Roster]) -> None:
        self._store, self._index, self._raises, self.roster = store, index, raises, roster

    async def fullest(self, config: Config, count: int) -> list[Gauge]:
        """Return the fullest counters, fullest first. Raises StoreError.

        The index knows how full they were; all are looked at, since those may be empty by now.
        """
        gauges = await self._gauges(config, await self._index.fullest())
        empty = [Entry(g.account, g.limit, g.subject) for g in gauges if not g.used]
        await self._index.forget(empty)
        return sorted((g for g in gauges if g.used), key=_fullness, reverse=True)[:count]

    async def would_refuse(self, config: Config, now: int, subject: str = "") -> list[Gauge]:
        """Return who would have been refused in the last week but for mode observe, of all or of one subject.

        Raises UnknownSubjectError, StoreError.
        """
        found = dict(await self._index.would_refuse(now - _WEEK))
        if subject:
            account, name, _ = find_subject(config, subject)
            found = {one: at for one, at in found.items() if one.account == account and name in {"", one.subject}}
        gauges = await self._gauges(config, list(found))
        when = {tuple(entry): moment(at) for entry, at in found.items()}
        return [replace(gauge, would_refuse=when[gauge.account, gauge.limit, gauge.subject]) for gauge in gauges]

    async def sizes(self, config: Config, account: str, posting: str) -> list[Gauge]:
        """Return how large a list is under each limit of its size, and how large its family. Raises StoreError."""
        lists = KnownLists(config.lists.known, self.roster())
        limits = (one for one in terms_of_account(config, account).limits if isinstance(one, SizeLimit))
        entries = [Entry(account, limit.name, size_subject(limit, posting, lists)) for limit in limits]
        return await self._gauges(config, entries)

    async def of(self, config: Config, subject: str) -> list[Gauge]:
        """Return the gauges of a domain, of a login or list with those of its domain, of a client or of ``(unlisted)``.

        Raises UnknownSubjectError when it belongs to no account, StoreError.
        """
        account, name, _ = find_subject(config, subject)
        entries = counters_of(config, account, "")
        if name:
            return await self.own(config, account, name) + await self._gauges(config, entries)
        seen = await self._index.fullest()
        entries += [entry for entry in seen if entry.account == account and entry not in entries]
        return await self._gauges(config, entries)

    async def own(self, config: Config, account: str, name: str) -> list[Gauge]:
        """Return the gauges of an account as a whole, or only those of an address within it. Raises StoreError."""
        gauges = await self._gauges(config, counters_of(config, account, name))
        per_list = {limit.name for limit in terms_of_account(config, account).limits if limit.per is Per.LIST}
        return [gauge for gauge in gauges if gauge.used or gauge.limit not in per_list]

    async def _gauges(self, config: Config, entries: list[Entry]) -> list[Gauge]:
        gauges = []
        for entry in entries:
            terms = terms_of_account(config, entry.account)
            limit = next((one for one in terms.limits if one.name == entry.limit), None)
            if not isinstance(limit, RateLimit | SizeLimit) or limit.max is None:
                continue
            if isinstance(limit, SizeLimit):
                lists = KnownLists(config.lists.known, self.roster())
                if not looks_at(limit, entry.subject, lists):
                    continue
                charge = size_look(config, limit, entry.subject, lists)
            else:
                charge = rate_look(limit, entry.subject, limit.max)
            outcome = await self._store.ask(Call(Op.PEEK, entry.account, None, (charge,)))
            found = _lifted(config, limit, gauge(config, terms, limit, entry, outcome.usages[0]), outcome.now)
            if found.max != limit.max:
                found = replace(found, raised_until=await self._raised_until(entry, outcome.now))
            gauges.append(found)
        return gauges

    async def _raised_until(self, entry: Entry, now: int) -> str:
        raised = (await self._raises.of(entry.account, [entry.limit], now)).get(entry.limit)
        return moment(raised.until) if raised else ""


def counters_of(config: Config, account: str, name: str) -> list[Entry]:
    """Return the counters of an account as a whole, or those of an address within it."""
    limits = terms_of_account(config, account).limits
    if not name:
        return [Entry(account, limit.name, account) for limit in limits if limit.per is Per.DOMAIN]
    per = {Per.CLIENT} if is_client_account(account) else _ADDRESSES
    return [Entry(account, limit.name, name) for limit in limits if limit.per in per]


def gauge(config: Config, terms: Terms, limit: RateLimit | SizeLimit, entry: Entry, usage: Usage) -> Gauge:
    """Return what one counter held when the store looked at it."""
    mode = Mode.OBSERVE if Mode.OBSERVE in {config.mode, limit.mode} else Mode.ENFORCE
    resumes = "never" if usage.fits_at == NEVER_FITS else moment(usage.fits_at) if usage.fits_at else ""
    if isinstance(limit, RateLimit):
        counts, window = limit.counts.value, limit.window
    else:
        counts, window = "addresses", limit.remember
    return Gauge(
        entry.account, terms.plan, limit.name, entry.subject, counts, usage.used, usage.max,
        window, mode.value, resumes, limit.origins.get("max", ""),
    )  # fmt: skip


def _lifted(config: Config, limit: RateLimit | SizeLimit, found: Gauge, now: int) -> Gauge:
    """Return a gauge that is full for good, until its limit is lifted: of the hours the store knows nothing."""
    schedule = config.schedules.get(limit.lifted_by)
    if schedule is None or found.resumes != "never":
        return found
    opening = next(iter(openings(schedule, now, 1)), None)
    if opening is None:
        return found
    return replace(found, resumes=moment(opening.start) if opening.start > now else "")


def terms_of_account(config: Config, account: str) -> Terms:
    """Return what is in force for an account of any kind, also of one that is no customer's."""
    if is_client_account(account):
        return config.failed_logins
    return config.relayed if account == UNLISTED else config.terms(account)


def _fullness(gauge: Gauge) -> float:
    return gauge.used / gauge.max if gauge.max else float(gauge.used)
