"""What a limit of kind pace is: its checks, and what its fields mean."""

from policyd.conf import units
from policyd.conf.counted import check_strikes
from policyd.conf.issues import At
from policyd.conf.limits import BY, DELAY_UP_TO, EVERY, OVER, PER, RECIPIENTS, TRAFFIC, TRANSPORT
from policyd.conf.rates import check_list, traffic
from policyd.conf.schema import PaceLimit
from policyd.conf.structures import Key, Values
from policyd.model import Per, Recipients, Way

_PER = (Per.LIST, Per.DOMAIN, Per.USER, Per.SENDER)
_KEYS_OF: dict[Way, tuple[Key[object], ...]] = {Way.ANSWER: (DELAY_UP_TO, OVER), Way.TRANSPORT: (TRANSPORT,)}
_NEEDED: dict[Way, Key[object]] = {Way.ANSWER: DELAY_UP_TO, Way.TRANSPORT: TRANSPORT}


def check(newest: Values, values: Values, at: At, policy_timeout: int | None) -> None:
    """Report what is wrong in ``newest``, the last layer of ``values``."""
    if TRAFFIC.name not in newest.flawed:
        check_list(newest, values, at)
    check_strikes(traffic(values), newest, values, at)
    per = newest.maybe(PER)
    if per is not None and per not in _PER:
        problem = f"a pace has no slots per {per}"
        at.key(PER.name).report(newest.place_of(PER), problem, f"write one of: {', '.join(_PER)}")
    way = values.maybe(BY)
    if way is not None and BY.name not in newest.flawed:
        _check_way(way, newest, values, at)
    longest = newest.get(DELAY_UP_TO, 0)
    if policy_timeout is not None and longest > policy_timeout // 2:
        timeout, most = units.duration_text(policy_timeout), units.duration_text(policy_timeout // 2)
        problem = f"{units.duration_text(longest)} is more than half of listen.policy_timeout, {timeout}"
        cure = f"write at most {most}, or let Postfix wait longer: timeout= of its entries, and listen.policy_timeout"
        at.key(DELAY_UP_TO.name).report(newest.place_of(DELAY_UP_TO), problem, cure)


def _check_way(way: Way, newest: Values, values: Values, at: At) -> None:
    other = Way.TRANSPORT if way is Way.ANSWER else Way.ANSWER
    for key in _KEYS_OF[other]:
        if key.name in newest.names():
            problem = f"{key.name} belongs to by: {other}, and this pace is kept by: {way}"
            at.key(key.name).report(newest.place_of(key), problem, f"remove it, or write by: {other}")
        elif key.name in values.names():
            problem = f"the limit has {key.name}, which belongs to by: {other}"
            at.key(BY.name).report(newest.place_of(BY), problem, "write a limit of another name")
    needed = _NEEDED[way]
    if needed.name not in values.names() and needed.name not in newest.flawed:
        at.report(newest.place_of(BY), f"by: {way} needs {needed.name}", f"write {needed.name}: {needed.shape.example}")


def pace(name: str, values: Values) -> PaceLimit:
    """Return the pace, as far as its own fields go."""
    return PaceLimit(
        name=name,
        per=values.get(PER, Per.DOMAIN),
        every=values.get(EVERY, 0),
        recipients=values.get(RECIPIENTS, Recipients.ALL),
        delay_up_to=values.get(DELAY_UP_TO, 0),
        transport=values.maybe(TRANSPORT),
    )
