"""Which limits let less through than before, for whom. Pure."""

from typing import NamedTuple

from policyd.conf.schema import Config, Terms
from policyd.model import UNLISTED


class Lowered(NamedTuple):
    """A limit of an account, and its new maximum."""

    account: str
    limit: str
    max: int


def lowered(old: Config, new: Config) -> list[Lowered]:
    """Return the limits with a smaller maximum, of all accounts that are hosted before and after."""
    known: dict[tuple[int, int], list[tuple[str, int]]] = {}
    found = [Lowered(UNLISTED, *one) for one in _smaller(old.relayed, new.relayed)]
    for account in new.accounts.plans.keys() & old.accounts.plans.keys():
        before, after = old.terms(account), new.terms(account)
        # Most accounts share the terms of their plan, which are compared once.
        pair = id(before), id(after)
        if pair not in known:
            known[pair] = _smaller(before, after)
        found += [Lowered(account, *one) for one in known[pair]]
    return sorted(found)


def _smaller(old: Terms, new: Terms) -> list[tuple[str, int]]:
    before = {limit.name: limit.max for limit in old.rates}
    return [
        (limit.name, limit.max)
        for limit in new.rates
        if limit.max is not None and (most := before.get(limit.name)) is not None and limit.max < most
    ]
