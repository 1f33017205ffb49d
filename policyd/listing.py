"""What is known of an account's lists: how large each is, who says so, and whether it may mail now."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from policyd.conf.rendering import amount, summary
from policyd.conf.schema import Config, PaceLimit, SizeLimit
from policyd.model import Charge, Per, TrafficKind, Usage
from policyd.policy.limits import is_lifted, is_observed
from policyd.policy.roster import KnownLists, Roster, Source
from policyd.policy.schedule import openings
from policyd.policy.sizes import looks_at, size_look, size_subject
from policyd.store.base import Call, Op
from policyd.store.index import Index
from policyd.store.redis import RedisStore

_ANY_SIZE = SizeLimit(name="(any)", per=Per.LIST, max=10**9)
"""A limit that every list is below, to look at what its mailings have shown."""


@dataclass(frozen=True, slots=True)
class ShownSize:
    """How large a list is, and who says so; what is believed comes first."""

    size: int
    source: str


@dataclass(frozen=True, slots=True)
class ShownSizeLimit:
    """A limit of size. ``used`` is what it sees, ``now`` is ``lifted``, ``fits``, ``observed`` or ``waits``.

    ``subject`` is the list or its family. ``lifted_from`` and ``lifted_until`` are of the present or next
    opening of the schedule ``lifted_by``, "" for none and for never.
    """

    limit: str
    subject: str
    used: int
    max: str
    now: str
    lifted_by: str
    lifted_from: str
    lifted_until: str


@dataclass(frozen=True, slots=True)
class ShownList:
    """A list. ``subscription`` is how people get in, "" where that is not known.

    ``flows``: neither a limit of size nor a suspension stops it now.
    """

    list: str
    account: str
    plan: str
    sizes: tuple[ShownSize, ...]
    subscription: str
    pace: str
    limits: tuple[ShownSizeLimit, ...]
    suspended: bool
    flows: bool


class Listing:
    """Finds lists and looks at them."""

    def __init__(self, store: RedisStore, index: Index, config: Config, roster: Roster) -> None:
        self._store, self._index, self._config = store, index, config
        self._known = KnownLists(config.lists.known, roster)

    async def names(self, account: str = "") -> list[tuple[str, str]]:
        """Return account and posting address of all lists, or of those of an account, in order. Raises StoreError."""
        found = {(self._account(posting), posting) for posting in self._known.postings()}
        limits = {limit.name for plan in self._config.plans.values() for limit in plan.limits if limit.per is Per.LIST}
        seen = [entry for entry in await self._index.fullest() if entry.limit in limits]
        found |= {(entry.account, entry.subject) for entry in seen if not entry.subject.endswith(")")}
        return sorted(one for one in found if account in {"", one[0]})

    async def of(self, account: str, posting: str, now: int, *, suspended: bool) -> ShownList:
        """Return what is known of a list that is suspended or not. Raises StoreError."""
        config = self._config
        terms = config.terms(account)
        sizes = (limit for limit in terms.limits if isinstance(limit, SizeLimit))
        limits = [limit for limit in sizes if looks_at(limit, posting, self._known)]
        looks = [size_look(config, limit, size_subject(limit, posting, self._known), self._known) for limit in limits]
        seen = size_look(config, _ANY_SIZE, posting, KnownLists({}))
        outcome = await self._store.ask(Call(Op.PEEK, account, None, (*looks, seen)))
        shown = [self._limit(*one, now) for one in zip(limits, looks, outcome.usages, strict=False)]
        paces = [limit for limit in terms.limits if isinstance(limit, PaceLimit) and TrafficKind.LIST in limit.traffic]
        subscription = self._known.subscription(posting)
        return ShownList(
            posting, account, terms.plan, tuple(self._sizes(posting, outcome.usages[-1])), subscription or "",
            "; ".join(map(summary, paces)), tuple(shown), suspended,
            not suspended and all(one.now != "waits" for one in shown),
        )  # fmt: skip

    def _account(self, posting: str) -> str:
        domain = posting.rpartition("@")[2]
        return self._config.accounts.aliases.get(domain, domain)

    def _sizes(self, posting: str, seen: Usage) -> Iterable[ShownSize]:
        known = self._known.roster.get(posting)
        if known is not None:
            yield ShownSize(known.members, Source.ROSTER)
        named = self._known.named.get(posting)
        if named is not None and named.size is not None:
            yield ShownSize(named.size, Source.CONFIG)
        if seen.used:
            yield ShownSize(seen.used, Source.MAILINGS)

    def _limit(self, limit: SizeLimit, look: Charge, usage: Usage, now: int) -> ShownSizeLimit:
        lifted = is_lifted(self._config, limit, now)
        state = "lifted" if lifted else "fits"
        if not lifted and limit.max is not None and usage.fits_at:
            state = "observed" if is_observed(self._config, limit, TrafficKind.LIST) else "waits"
        most = amount(limit) if usage.max == (limit.max or 0) else str(usage.max)
        lifted_from, lifted_until = self._opening(limit, now)
        return ShownSizeLimit(
            limit.name, look.subject, usage.used, most, state, limit.lifted_by, lifted_from, lifted_until
        )

    def _opening(self, limit: SizeLimit, now: int) -> tuple[str, str]:
        """Return begin and end of the present or next opening of the schedule that lifts a limit, in its own zone."""
        schedule = self._config.schedules.get(limit.lifted_by)
        opening = next(iter(openings(schedule, now, 1)), None) if schedule is not None else None
        if schedule is None or opening is None:
            return "", ""
        end = "" if opening.end is None else _moment(opening.end, schedule.timezone)
        return _moment(opening.start, schedule.timezone), end


def _moment(at: int, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(at // 1000, zone).isoformat()
