"""What a limit of kind size is: its checks, and what its fields mean."""

from policyd.conf.issues import At
from policyd.conf.limits import FAMILY, MAX, PER, REMEMBER, UNCONFIRMED, Amount
from policyd.conf.schema import SizeLimit
from policyd.conf.structures import Values
from policyd.model import Family, Per, TrafficKind

LARGEST = 100_000
"""Members that are counted of a list at most; whoever allows more can as well allow all."""

_PER = (Per.LIST, Per.LIST_FAMILY)


def traffic(values: Values) -> tuple[TrafficKind, ...]:  # noqa: ARG001  # of all kinds of limit the plainest
    """Return the traffic that a size limit looks at: what lists mail to their members."""
    return (TrafficKind.LIST,)


def check(newest: Values, values: Values, at: At, policy_timeout: int | None) -> None:  # noqa: ARG001  # no answer waits
    """Report what is wrong in ``newest``, the last layer of ``values``."""
    per = newest.maybe(PER)
    if per is not None and per not in _PER:
        problem = f"a limit of kind size has no counter per {per}"
        at.key(PER.name).report(newest.place_of(PER), problem, f"write one of: {', '.join(_PER)}")
    amount = newest.get(MAX, Amount(None, sized=False))
    if amount.sized or (amount.units or 0) > LARGEST:
        problem = f"policyd counts up to {LARGEST} addresses of a list"
        at.key(MAX.name).report(newest.place_of(MAX), problem, "write a number such as 1000, or unlimited")
    if FAMILY.name in newest.names() and values.get(PER, Per.LIST) is Per.LIST:
        problem = "the limit looks at each list, and at no family"
        at.key(FAMILY.name).report(newest.place_of(FAMILY), problem, "remove it, or write per: list-family")
    if values.get(UNCONFIRMED, False) and values.maybe(PER) is Per.LIST_FAMILY:
        key = UNCONFIRMED if UNCONFIRMED.name in newest.names() else PER
        problem = "the limit looks at families, and a roster says of each list how people get into it"
        at.key(key.name).report(newest.place_of(key), problem, "write per: list")


def size(name: str, values: Values) -> SizeLimit:
    """Return the size limit, as far as its own fields go."""
    default = SizeLimit(name=name, max=None)
    return SizeLimit(
        name=name,
        per=values.get(PER, Per.LIST),
        max=values.get(MAX, Amount(None, sized=False)).units,
        remember=values.get(REMEMBER, default.remember),
        family=values.get(FAMILY, Family.STEM),
        unconfirmed=values.get(UNCONFIRMED, False),
    )
