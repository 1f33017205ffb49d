"""From a request to its charges: pure, time is an argument."""

import re
from collections.abc import Callable
from fnmatch import translate
from typing import NamedTuple

from policyd.address import Address, normal_form, normalise
from policyd.conf.schema import Config, Limit, PaceLimit, RateLimit, SizeLimit, Terms
from policyd.model import Charge, Counts, Member, Per, PolicyRequest, Recipients, Sure, Traffic
from policyd.policy.bulk import passed_by
from policyd.policy.limits import counter_type, in_force, is_observed, subject, terms_of
from policyd.policy.pace import destination, longest_wait, pace_charge
from policyd.policy.roster import NO_ROSTER, KnownLists, Roster
from policyd.policy.sizes import digest, looks_at, size_charge
from policyd.policy.suspendable import suspendable
from policyd.policy.traffic import Attribution, within

MOST_RECIPIENTS = 1_000_000
MOST_BYTES = 10**12
"""More is counted as so much: no message has it, and Redis would work long on such a number or not hold it."""

Owner = Callable[[PolicyRequest], str]
"""Says which Unix user sends; "" when that cannot be known."""

_MOST_STANDINGS = 20_000


class ChargePlan(NamedTuple):
    """What a request is to be charged, each charge beside the limit that it belongs to.

    ``spared``: limits are in force, and none looks at this recipient, login or client. ``paced``: the
    answer may have to wait. ``transport`` is what Postfix delivers the message by, to keep a pace.
    ``suspendable`` are the names under which it may be suspended, whatever limits look at it.
    """

    traffic: Traffic
    terms: Terms
    limits: tuple[Limit, ...]
    charges: tuple[Charge, ...]
    spared: bool = False
    suspendable: tuple[str, ...] = ()
    paced: bool = False
    transport: str = ""


_NO_TERMS = Terms("", ())


class _Standing(NamedTuple):
    """What is the same for all requests of one sender under one Config, whatever its client's address.

    ``exempt``: no limit looks at the login. ``usual`` is the plan of one recipient where no time,
    size, client or recipient can change it; None where one can.
    """

    traffic: Traffic
    terms: Terms
    exempt: bool
    usual: ChargePlan | None


def nobody(request: PolicyRequest) -> str:  # noqa: ARG001  # an Owner
    """Know of no Unix user."""
    return ""


class Planner:
    """Plans requests under one Config; remembers the standing of the senders that it has seen."""

    def __init__(self, config: Config, roster: Roster = NO_ROSTER) -> None:
        self.config = config
        self.lists = KnownLists(config.lists.known, roster)
        self._attribution = Attribution(config)
        self._delimiter = config.accounts.delimiter
        self._exempt_recipients = pattern_of(config.exempt.recipients)
        self._exempt_logins = pattern_of(config.exempt.logins)
        self._standings: dict[tuple[str, str, bool, str, int, str], _Standing] = {}

    def enrolled(self, roster: Roster) -> None:
        """Plan from now on with what the list software says of its lists; no standing depends on it."""
        self.lists = KnownLists(self.config.lists.known, roster)

    def of_list(self, posting: Address) -> Traffic | None:
        """Return what a list mails to its members, None for one that is not hosted here."""
        return self._attribution.of_list(posting, Sure.VERIFIED)

    def plan(self, request: PolicyRequest, now: int, owner: Owner = nobody) -> ChargePlan:
        """Return the charges of one recipient (RCPT) at ``now``, in ms since the epoch.

        ``owner`` is asked only where the Unix user changes who is charged.
        """
        standing = self._standing(request, owner)
        exempt = self.is_exempt(request, request.recipient)
        if standing.usual is not None and not exempt:
            return standing.usual
        return self._plan(standing, request, now, 1, exempt=exempt)

    def plan_message(
        self, request: PolicyRequest, now: int, owner: Owner = nobody, known: Traffic | None = None
    ) -> ChargePlan:
        """Return the charges of a whole message (END-OF-MESSAGE), for ``recipient_count`` recipients.

        ``known`` is what its recipients were attributed to: one message has one account, though
        Postfix may ask about its end with another policy_context. Its end does not say who its
        recipients are, so that no members are counted then.
        """
        standing = self._standing(request, owner)
        if known is not None and known != standing.traffic:
            standing = self._new_standing(known, request)
        recipients = min(request.recipient_count, MOST_RECIPIENTS)
        exempt = self.is_exempt(request, request.recipient if recipients == 1 else "")
        return _without_members(self._plan(standing, request, now, recipients, exempt=exempt))

    def is_exempt(self, request: PolicyRequest, recipient: str) -> bool:
        """Return whether the client is exempt, or the recipient; "" is none in particular."""
        networks = self.config.exempt.clients
        if networks and within(request.client_address, networks):
            return True
        return self._is_exempt_recipient(recipient)

    def _standing(self, request: PolicyRequest, owner: Owner) -> _Standing:
        local = self._attribution.is_local(request.client_address)
        user = owner(request) if self._attribution.asks_user(request) else ""
        sender = (request.sasl_username, request.sender, local, request.policy_context, request.server_port, user)
        standing = self._standings.get(sender)
        if standing is None:
            if len(self._standings) >= _MOST_STANDINGS:
                self._standings.clear()
            standing = self._new_standing(self._attribution.traffic(request, user), request)
            self._standings[sender] = standing
        return standing

    def _new_standing(self, traffic: Traffic, request: PolicyRequest) -> _Standing:
        if traffic.sure is Sure.NOBODY:
            return _Standing(traffic, _NO_TERMS, exempt=False, usual=ChargePlan(traffic, _NO_TERMS, (), ()))
        terms = terms_of(self.config, traffic)
        if self._is_exempt_login(traffic, request):
            spared = ChargePlan(traffic, terms, (), (), spared=True, suspendable=suspendable(traffic))
            return _Standing(traffic, terms, exempt=True, usual=spared)
        standing = _Standing(traffic, terms, exempt=False, usual=None)
        if any(_varies(limit) for limit in terms.limits if traffic.kind in limit.traffic):
            return standing
        return standing._replace(usual=self._plan(standing, request, 0, 1, exempt=False))

    def _plan(
        self, standing: _Standing, request: PolicyRequest, now: int, recipients: int, *, exempt: bool
    ) -> ChargePlan:
        traffic, terms = standing.traffic, standing.terms
        if traffic.sure is Sure.NOBODY:
            return ChargePlan(traffic, _NO_TERMS, (), ())
        names = suspendable(traffic)
        if exempt or standing.exempt:
            names = () if self._is_for_this_host(request.recipient) else names
            return ChargePlan(traffic, terms, (), (), spared=True, suspendable=names)
        looking = in_force(self.config, terms, traffic.kind, now)
        charged = [(limit, self._charge(limit, traffic, request, recipients)) for limit in looking]
        limits = tuple(limit for limit, charge in charged if charge is not None)
        charges = tuple(charge for _, charge in charged if charge is not None)
        plan = ChargePlan(
            traffic, terms, limits, charges, suspendable=names,
            paced=longest_wait(charges) > 0, transport=self._transport(looking, traffic, request),
        )  # fmt: skip
        if all(charge.skipped for charge in charges):
            return plan._replace(limits=(), charges=(), spared=bool(charges), paced=False)
        return plan

    def _charge(self, limit: Limit, traffic: Traffic, request: PolicyRequest, recipients: int) -> Charge | None:
        """Return what a limit charges, None where it does not look at it, or Postfix keeps the pace."""
        named = subject(limit, traffic, request.client_address)
        if isinstance(limit, RateLimit):
            if limit.counts is Counts.DISTINCT and passed_by(traffic, self.lists.named):
                return None
            return self._rate_charge(limit, traffic, request, named, recipients)
        if isinstance(limit, PaceLimit) and limit.transport is None:
            looked_at = 0 if self._is_skipped(limit, request) else recipients
            return pace_charge(self.config, limit, traffic.kind, named, looked_at)
        if isinstance(limit, SizeLimit) and looks_at(limit, traffic.list, self.lists):
            return size_charge(self.config, limit, traffic, request, self.lists)
        return None

    def _transport(self, looking: list[Limit], traffic: Traffic, request: PolicyRequest) -> str:
        """Return the transport of the slowest pace that Postfix keeps, "" where there is none."""
        paces = [limit for limit in looking if isinstance(limit, PaceLimit) and not self._is_skipped(limit, request)]
        for limit in sorted(paces, key=lambda pace: -pace.every):
            if limit.transport is not None and not is_observed(self.config, limit, traffic.kind):
                return destination(limit.transport, subject(limit, traffic, request.client_address))
        return ""

    def _is_skipped(self, limit: RateLimit | PaceLimit, request: PolicyRequest) -> bool:
        return limit.recipients is Recipients.REMOTE and self._is_hosted(request.recipient)

    def _rate_charge(
        self, limit: RateLimit, traffic: Traffic, request: PolicyRequest, named: str, recipients: int
    ) -> Charge:
        skipped = self._is_skipped(limit, request)
        once = limit.counts not in {Counts.RECIPIENTS, Counts.DISTINCT}
        cost = max(1, min(request.size, MOST_BYTES)) if limit.counts is Counts.BYTES else 1 if once else recipients
        return Charge(
            counter_type(limit),
            limit.name,
            named,
            0 if skipped else cost,
            limit.max or 0,
            limit.window,
            observed=is_observed(self.config, limit, traffic.kind),
            once=once,
            skipped=skipped,
            member=Member(digest(traffic.account, request.recipient)) if limit.counts is Counts.DISTINCT else None,
        )

    def _is_hosted(self, recipient: str) -> bool:
        return bool(recipient) and bool(self._attribution.hosted(normalise(recipient, self._delimiter).domain))

    def _is_exempt_login(self, traffic: Traffic, request: PolicyRequest) -> bool:
        """Return whether the login is exempt, as it was given or as it is charged."""
        if self._exempt_logins is None or not request.sasl_username:
            return False
        names = (normal_form(request.sasl_username, self._delimiter), traffic.user)
        return any(self._exempt_logins.match(name) for name in names)

    def _is_exempt_recipient(self, recipient: str) -> bool:
        if self._exempt_recipients is None or not recipient:
            return False
        return self._exempt_recipients.match(normal_form(recipient, self._delimiter)) is not None

    def _is_for_this_host(self, recipient: str) -> bool:
        """Return whether a recipient is exempt and of this host: who is suspended may write to its postmaster."""
        if not self._is_exempt_recipient(recipient):
            return False
        domain = normalise(recipient, self._delimiter).domain
        return domain in self.config.accounts.local_names or self._is_hosted(recipient)


def _without_members(plan: ChargePlan) -> ChargePlan:
    kept = [pair for pair in zip(plan.limits, plan.charges, strict=True) if pair[1].member is None]
    if len(kept) == len(plan.charges):
        return plan
    return plan._replace(limits=tuple(limit for limit, _ in kept), charges=tuple(charge for _, charge in kept))


def _varies(limit: Limit) -> bool:
    """Return whether what a limit charges for one recipient depends on more than its sender."""
    if limit.lifted_by or limit.per is Per.CLIENT or isinstance(limit, SizeLimit):
        return True
    if isinstance(limit, RateLimit) and limit.counts in {Counts.BYTES, Counts.DISTINCT}:
        return True
    return isinstance(limit, RateLimit | PaceLimit) and limit.recipients is Recipients.REMOTE


def pattern_of(patterns: tuple[str, ...]) -> re.Pattern[str] | None:
    """Return shell patterns as one regular expression, None for none."""
    return re.compile("|".join(translate(pattern) for pattern in patterns)) if patterns else None
