"""In plain words, for support: by which rule somebody is charged, and why a limit does not look at a request.

The rules are those of traffic.py, in its order.
"""

from policyd.conf.schema import Config, Limit, PaceLimit, RateLimit
from policyd.model import LOGIN_COUNTS, Counts, PolicyRequest, Recipients, Sure, Traffic, TrafficKind
from policyd.policy.bulk import passed_by
from policyd.policy.limits import is_lifted
from policyd.policy.logins import is_client_account
from policyd.policy.roster import KnownLists

_CLAIMED = {
    TrafficKind.LIST: "a client on this host, without a login, whose envelope sender is that of the list",
    TrafficKind.SCRIPT: "a client on this host, without a login, whose envelope sender is hosted here",
    TrafficKind.RELAYED: "a client on this host, without a login, whose envelope sender is not hosted here",
}


def rule(config: Config, traffic: Traffic, request: PolicyRequest) -> str:
    """Return the rule by which a request is charged to its account."""
    if traffic.sure is Sure.NOBODY:
        return "nobody: a bounce of this host" if not request.sender and not traffic.user else "nobody: from outside"
    if request.sasl_username:
        what = f"the login {request.sasl_username}"
        return f"{what}, which sends for a list of its own domain" if traffic.kind is TrafficKind.LIST else what
    if traffic.sure is Sure.CLAIMED:
        return _CLAIMED[traffic.kind]
    if request.policy_context in config.accounts.verified_contexts:
        return f"the envelope sender, which Postfix has verified (policy_context {request.policy_context})"
    if traffic.kind is TrafficKind.LIST:
        return "the list software's own entry or Unix user"
    return f"the Unix user {traffic.user.partition('@')[0]}, who holds the connection"


def login_rule(traffic: Traffic) -> str:
    """Return the rule by which a login is charged."""
    if is_client_account(traffic.account):
        return "the client's address, from which logins failed"
    return f"the mailbox {traffic.user}, which was logged in to"


def unconcerned(config: Config, limit: Limit, traffic: Traffic, now: int, *, here: bool) -> str:
    """Return why a limit charges nothing for a request; ``here``: its recipient is hosted here."""
    if isinstance(limit, RateLimit) and limit.counts in LOGIN_COUNTS:
        return "counts logins"
    if traffic.kind not in limit.traffic:
        return f"looks at {' and '.join(sorted(limit.traffic))} traffic only"
    if is_lifted(config, limit, now):
        return f"lifted while {limit.lifted_by} is open"
    if isinstance(limit, PaceLimit) and limit.transport is not None:
        return f"kept by the transport {limit.transport.name} of Postfix"
    if getattr(limit, "max", 0) is None:
        return "unlimited"
    distinct = isinstance(limit, RateLimit) and limit.counts is Counts.DISTINCT
    passed = passed_by(traffic, KnownLists(config.lists.known).named) if distinct else ""
    if getattr(limit, "unconfirmed", False):
        passed = "looks only at lists that let people in without their confirmation"
    elsewhere = here and getattr(limit, "recipients", Recipients.ALL) is Recipients.REMOTE
    return passed or ("looks at recipients elsewhere only" if elsewhere else "spared by exempt")
