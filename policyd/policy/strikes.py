"""Who is suspended when refusals or spam traps suspend, and for how long: pure.

Only verified traffic counts, and only the narrowest subject that explains it is hit: the list that
mailed, the login or Unix user that sent.
"""

from policyd.conf.penalty import Strikes
from policyd.model import Sure, Traffic, TrafficKind
from policyd.policy.suspendable import SubjectKind


def culprit(traffic: Traffic, *, domain: bool = False) -> str:
    """Return the name under which the one who sends is suspended; "" when it is only claimed who that is.

    ``domain``: the account as a whole.
    """
    if traffic.sure is not Sure.VERIFIED or traffic.kind in {TrafficKind.RELAYED, TrafficKind.LOGIN}:
        return ""
    if domain:
        return SubjectKind.DOMAIN.value
    if traffic.kind is TrafficKind.LIST:
        return f"{SubjectKind.LIST}:{traffic.list}"
    return f"{SubjectKind.USER}:{traffic.user}"


def sentence(strikes: Strikes, former: int) -> int:
    """Return how long a suspension lasts after so many former ones, in ms; 0 until it is resumed."""
    return strikes.sentences[min(former, len(strikes.sentences) - 1)]
