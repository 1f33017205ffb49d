"""From a login to its charges, and from the outcome to what Dovecot hears: pure, time is an argument.

A login that Dovecot asks to allow had the right password. It is charged to its mailbox, within the
mailbox's account. A failed one is charged to the client's address, on keys of the client's own: who
guesses passwords belongs to no account, and must not be able to spend one.

A limit of failed logins refuses all logins of a client, unless it is known: somebody logged in from
there within the last 30 days. A customer whose telephone has an old password fails all
day, and his other programs must go on.
"""

from ipaddress import IPv6Address, ip_address, ip_network

from policyd.conf.schema import Config, RateLimit, Terms
from policyd.model import (
    Action,
    Charge,
    CounterType,
    LoginAnswer,
    LoginRequest,
    Outcome,
    Per,
    Sure,
    Traffic,
    TrafficKind,
    Verdict,
)
from policyd.policy.limits import counter_type, is_observed, rates_in_force, subject
from policyd.policy.plan import ChargePlan, pattern_of
from policyd.policy.suspendable import suspendable
from policyd.policy.traffic import Attribution, within

KNOWN = "(known)"
"""The counter that says that a client logged in lately; no limit can have this name."""

_CLIENT = "client:"
_KNOWN_FOR = 30 * 86_400_000
_IPV6_CUSTOMER = 64
"""Whoever has an IPv6 address has its whole /64, and could come from another one each time."""


def client_of(remote: str) -> str:
    """Return what a client is counted by: its IPv4 address, or the /64 of its IPv6 address; "" for none."""
    try:
        address = ip_address(remote)
    except ValueError:
        return ""
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ip_network((int(address), _IPV6_CUSTOMER), strict=False))


def client_account(client: str) -> str:
    """Return the account that a client's failed logins are counted for: its own."""
    return f"{_CLIENT}{client}"


def is_client_account(account: str) -> bool:
    """Return whether an account is that of a client, who belongs to nobody."""
    return account.startswith(_CLIENT)


class LoginPlanner:
    """Plans logins under one Config."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._attribution = Attribution(config)
        self._exempt_logins = pattern_of(config.exempt.logins)

    def traffic(self, login: str) -> Traffic:
        """Return whose mailbox a login is for: ``user`` is the mailbox, as its counters name it."""
        return self._attribution.login(TrafficKind.LOGIN, login)

    def plan(self, request: LoginRequest, now: int) -> ChargePlan:
        """Return the charges of a login with the right password, at ``now`` in ms since the epoch."""
        traffic = self.traffic(request.login)
        terms = self.config.terms(traffic.account)
        return self._plan(traffic, terms, request, now)

    def plan_failed(self, request: LoginRequest, now: int) -> ChargePlan:
        """Return the charges of a login with a wrong password: to its client."""
        client = client_of(request.remote)
        account = client_account(client) if client else ""
        sure = Sure.VERIFIED if client else Sure.NOBODY
        traffic = Traffic(TrafficKind.LOGIN, account, sure, self.traffic(request.login).user, "")
        return self._plan(traffic, self.config.failed_logins, request, now)

    def _plan(self, traffic: Traffic, terms: Terms, request: LoginRequest, now: int) -> ChargePlan:
        client = client_of(request.remote)
        if not request.login or self._is_exempt(traffic, request):
            return ChargePlan(traffic, terms, (), (), spared=True, suspendable=suspendable(traffic))
        limits = tuple(
            limit
            for limit in rates_in_force(self.config, terms, TrafficKind.LOGIN, now)
            if (not limit.protocols or request.protocol in limit.protocols) and (client or limit.per is not Per.CLIENT)
        )
        charges = tuple(self._charge(limit, traffic, client) for limit in limits)
        return ChargePlan(traffic, terms, limits, charges, suspendable=suspendable(traffic))

    def _charge(self, limit: RateLimit, traffic: Traffic, client: str) -> Charge:
        return Charge(
            counter_type(limit),
            limit.name,
            subject(limit, traffic, client),
            1,
            limit.max or 0,
            limit.window,
            observed=is_observed(self.config, limit, TrafficKind.LOGIN),
            lock=limit.lock,
        )

    def _is_exempt(self, traffic: Traffic, request: LoginRequest) -> bool:
        networks, pattern = self.config.exempt.clients, self._exempt_logins
        if networks and within(request.remote, networks):
            return True
        return pattern is not None and pattern.match(traffic.user) is not None


def known_charge(client: str) -> Charge:
    """Return the charge that makes a client known; while it is, another does not fit."""
    return Charge(CounterType.LOG, KNOWN, client, 1, 1, _KNOWN_FOR, observed=True)


def is_known(outcome: Outcome) -> bool:
    """Return whether a client is known, from an outcome whose last charge is the known one."""
    return outcome.usages[-1].used > 0


def answer(plan: ChargePlan, verdict: Verdict) -> LoginAnswer:
    """Return what Dovecot hears of a verdict; only a limit with ``tell`` says why."""
    if verdict.action is Action.ACCEPT:
        return LoginAnswer(0)
    limit = plan.limits[verdict.charge] if verdict.charge >= 0 else None
    told = isinstance(limit, RateLimit) and limit.tell
    return LoginAnswer(-1, verdict.text if told else "")
