"""What a limit of kind rate is: its checks, and what its fields mean."""

from policyd.conf.counted import DEFAULT_PER, check_counted, check_strikes
from policyd.conf.issues import At
from policyd.conf.limits import COUNTS, LOCK, MAX, PER, PROTOCOLS, RECIPIENTS, TELL, TRAFFIC, WINDOW, Amount
from policyd.conf.schema import RateLimit
from policyd.conf.sizes import LARGEST
from policyd.conf.structures import Values
from policyd.model import LOGIN_COUNTS, Counts, Per, Recipients, TrafficKind

_DEFAULT_TRAFFIC = (TrafficKind.USER, TrafficKind.SCRIPT, TrafficKind.LIST)


def traffic(values: Values) -> tuple[TrafficKind, ...]:
    """Return the traffic that a rate limit looks at."""
    if values.get(COUNTS, Counts.RECIPIENTS) in LOGIN_COUNTS:
        return (TrafficKind.LOGIN,)
    per_list = values.maybe(PER) is Per.LIST
    return values.get(TRAFFIC, (TrafficKind.LIST,) if per_list else _DEFAULT_TRAFFIC)


def check(newest: Values, values: Values, at: At, policy_timeout: int | None) -> None:  # noqa: ARG001  # no answer waits
    """Report what is wrong in ``newest``, the last layer of ``values``."""
    check_counted(newest, values, at)
    if not {MAX.name, COUNTS.name} & newest.flawed:
        _check_amount(newest, values, at)
    if TRAFFIC.name not in newest.flawed:
        check_list(newest, values, at)
    if values.get(COUNTS, Counts.RECIPIENTS) is Counts.DISTINCT and COUNTS.name not in newest.flawed:
        _check_distinct(newest, values, at)
    check_strikes(traffic(values), newest, values, at)


def rate(name: str, values: Values) -> RateLimit:
    """Return the rate limit, as far as its own fields go."""
    counts = values.get(COUNTS, Counts.RECIPIENTS)
    return RateLimit(
        name=name,
        max=values.get(MAX, Amount(None, sized=False)).units,
        window=values.get(WINDOW, 0),
        counts=counts,
        per=values.get(PER, DEFAULT_PER.get(counts, Per.DOMAIN)),
        recipients=values.get(RECIPIENTS, Recipients.ALL),
        protocols=frozenset(values.get(PROTOCOLS, ())),
        lock=values.get(LOCK, 0),
        tell=values.get(TELL, False),
    )


def check_list(newest: Values, values: Values, at: At) -> None:
    """Report a counter per list for traffic that has none."""
    looks_at = set(traffic(values))
    if values.maybe(PER) is Per.LIST and looks_at not in ({TrafficKind.LIST}, {TrafficKind.LOGIN}):
        key = TRAFFIC if TRAFFIC.name in newest.names() else PER
        problem = "the limit counts per list, and only list traffic has one"
        at.key(key.name).report(newest.place_of(key), problem, "write traffic: [list], or per: domain")


def _check_distinct(newest: Values, values: Values, at: At) -> None:
    """Report what cannot be kept of distinct recipients, or of nobody's."""
    amount = newest.get(MAX, Amount(None, sized=False))
    if (amount.units or 0) > LARGEST and not amount.sized:
        problem = f"policyd counts up to {LARGEST} distinct recipients"
        at.key(MAX.name).report(newest.place_of(MAX), problem, "write a number such as 500, or unlimited")
    if TrafficKind.RELAYED in traffic(values):
        key = TRAFFIC if TRAFFIC.name in newest.names() else COUNTS
        problem = "relayed traffic is nobody's for sure, and distinct recipients are counted of verified senders"
        at.key(key.name).report(newest.place_of(key), problem, "write counts: recipients, or other traffic")


def _check_amount(newest: Values, values: Values, at: At) -> None:
    amount = values.maybe(MAX)
    counts = values.get(COUNTS, Counts.RECIPIENTS)
    if amount is None or not amount.units or amount.sized is (counts is Counts.BYTES):
        return
    key = MAX if MAX.name in newest.names() else COUNTS
    if amount.sized:
        problem = f"max is a size, and the limit counts {counts}"
        cure = "write max as a number such as 400, or counts: bytes"
    else:
        problem = "max has no unit, and the limit counts bytes"
        cure = f"write max: {amount.units}MB, or what it should be"
    at.key(key.name).report(newest.place_of(key), problem, cure)
