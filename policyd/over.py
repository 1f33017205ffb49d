"""Who uses more now than a lowered limit will allow."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from policyd.conf.schema import Config, RateLimit
from policyd.model import Per
from policyd.policy.limits import rate_look
from policyd.policy.lowered import Lowered
from policyd.status import terms_of_account
from policyd.store.base import Call, Op
from policyd.store.index import Entry, Index
from policyd.store.redis import RedisStore

_AT_ONCE = 100
"""Counters that are asked about in one go, so that no charge waits long behind them."""


class Over(NamedTuple):
    """A counter that holds more than its new maximum."""

    account: str
    limit: str
    subject: str
    used: int
    max: int

    def __str__(self) -> str:
        return f"{self.subject} uses {self.used} of {self.limit}, over the new {self.max}"


async def over(store: RedisStore, index: Index, config: Config, lowered: Sequence[Lowered]) -> list[Over]:
    """Return who is over a lowered limit, by the counters that ``config``, which is still or was in force, keeps.

    Of limits per domain all accounts are looked at; of others those that the index knows. A raise
    that is in force counts. Raises StoreError.
    """
    seen = await index.fullest()
    counters = list(_counters(config, lowered, seen))
    found = []
    for start in range(0, len(counters), _AT_ONCE):
        part = counters[start : start + _AT_ONCE]
        found += await asyncio.gather(*(_used(store, limit, entry, most) for limit, entry, most in part))
    return [one for one in found if one.used > one.max]


def _counters(
    config: Config, lowered: Sequence[Lowered], seen: Sequence[Entry]
) -> Iterator[tuple[RateLimit, Entry, int]]:
    by_counter: dict[tuple[str, str], list[Entry]] = {}
    for entry in seen:
        by_counter.setdefault((entry.account, entry.limit), []).append(entry)
    for account, name, most in lowered:
        limit = next((one for one in terms_of_account(config, account).rates if one.name == name), None)
        if limit is not None and limit.max is not None:
            own = [Entry(account, name, account)] if limit.per is Per.DOMAIN else by_counter.get((account, name), [])
            yield from ((limit, entry, most) for entry in own)


async def _used(store: RedisStore, limit: RateLimit, entry: Entry, most: int) -> Over:
    outcome = await store.ask(Call(Op.PEEK, entry.account, None, (rate_look(limit, entry.subject, most),)))
    usage = outcome.usages[0]
    return Over(entry.account, entry.limit, entry.subject, usage.used, usage.max)
