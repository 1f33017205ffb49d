"""Which keys of a limit go with what it counts: mail and logins have some of their own."""

from policyd.conf.issues import At
from policyd.conf.limits import COUNTS, LOCK, OVER, PER, PROTOCOLS, RECIPIENTS, STRIKES, TELL, TRAFFIC
from policyd.conf.strikes import strikes
from policyd.conf.structures import Key, Values
from policyd.model import LOGIN_COUNTS, Counts, Per, TrafficKind

DEFAULT_PER = {Counts.LOGINS: Per.MAILBOX, Counts.FAILED_LOGINS: Per.CLIENT}
"""What is counted for where the limit does not say it, if not the domain."""

_OF_MAIL: tuple[Key[object], ...] = (OVER, TRAFFIC, RECIPIENTS, STRIKES)
_OF_LOGINS: tuple[Key[object], ...] = (PROTOCOLS, LOCK, TELL)
_PER_OF_MAIL = (Per.DOMAIN, Per.USER, Per.SENDER, Per.CLIENT, Per.LIST)
_PER = {
    Counts.DISTINCT: (Per.DOMAIN, Per.USER, Per.SENDER),
    Counts.LOGINS: (Per.MAILBOX, Per.CLIENT, Per.DOMAIN),
    Counts.FAILED_LOGINS: (Per.CLIENT,),
}


def check_counted(newest: Values, values: Values, at: At) -> None:
    """Report the fields that do not go with what the limit counts.

    ``values`` are those of all layers; what is wrong stands in ``newest``, the last one.
    """
    if COUNTS.name in newest.flawed:
        return
    counts = values.get(COUNTS, Counts.RECIPIENTS)
    foreign, others = (_OF_MAIL, "mail") if counts in LOGIN_COUNTS else (_OF_LOGINS, "logins")
    for key in foreign:
        if key.name in newest.names():
            problem = f"{key.name} belongs to limits that count {others}, and this one counts {counts}"
            at.key(key.name).report(newest.place_of(key), problem, "remove it")
        elif key.name in values.names():
            problem = f"the limit has {key.name}, which belongs to limits that count {others}"
            at.key(COUNTS.name).report(newest.place_of(COUNTS), problem, "write a limit of another name")
    _check_per(counts, newest, values, at)
    if counts is Counts.LOGINS and PROTOCOLS.name not in values.names() and PROTOCOLS.name not in newest.flawed:
        problem = "a limit that counts logins names their protocols"
        at.report(newest.place_of(COUNTS), problem, "write protocols: [pop3]")


def check_strikes(traffic: tuple[TrafficKind, ...], newest: Values, values: Values, at: At) -> None:
    """Report strikes that would hit whoever comes when the account has used its limit up."""
    given, per = values.maybe(STRIKES), values.get(PER, Per.DOMAIN)
    if given is None or TrafficKind.LOGIN in traffic or {STRIKES.name, PER.name} & newest.flawed:
        return
    key = STRIKES if STRIKES.name in newest.names() else PER if PER.name in newest.names() else TRAFFIC
    here, place = at.key(key.name), newest.place_of(key)
    if TrafficKind.RELAYED in traffic:
        here.report(place, "relayed traffic belongs to no customer, whom nobody can suspend", "remove strikes")
    elif per in {Per.DOMAIN, Per.CLIENT} and not strikes(given).domain:
        problem = f"a limit per {per} does not say who used it up, and the last straw may be a neighbour's"
        here.report(place, problem, "write whom: domain, or put the strikes on a limit per user")


def _check_per(counts: Counts, newest: Values, values: Values, at: At) -> None:
    allowed, per = _PER.get(counts, _PER_OF_MAIL), values.maybe(PER)
    if per is None or per in allowed or PER.name in newest.flawed:
        return
    key = PER if PER.name in newest.names() else COUNTS
    cure = f"write one of: {', '.join(allowed)}" if len(allowed) > 1 else f"write per: {allowed[0]}"
    at.key(key.name).report(newest.place_of(key), f"a limit that counts {counts} has no counter per {per}", cure)
