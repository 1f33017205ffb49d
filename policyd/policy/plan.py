"""From a request to its charges: pure, time is an argument."""

from fnmatch import fnmatchcase
from typing import NamedTuple

from policyd.address import normalise
from policyd.conf.schema import Config, RateLimit, Terms
from policyd.model import Charge, Counts, PolicyRequest, Recipients, Sure, Traffic
from policyd.policy.limits import counter_type, in_force, is_observed, subject, terms_of
from policyd.policy.traffic import Attribution, within

MOST_RECIPIENTS = 1_000_000
MOST_BYTES = 10**12
"""More is counted as so much: no message has it, and Redis would work long on such a number or not hold it."""


class ChargePlan(NamedTuple):
    """What a request is to be charged, each charge beside the limit that it belongs to.

    ``spared``: limits are in force, and none looks at this recipient, login or client.
    """

    traffic: Traffic
    terms: Terms
    limits: tuple[RateLimit, ...]
    charges: tuple[Charge, ...]
    spared: bool = False


_NO_TERMS = Terms("", ())


class Planner:
    """Plans requests under one Config."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._attribution = Attribution(config)
        self._delimiter = config.accounts.delimiter

    def plan(self, request: PolicyRequest, now: int) -> ChargePlan:
        """Return the charges of one recipient (RCPT) at ``now``, in ms since the epoch."""
        return self._plan(request, now, 1, exempt_recipient=self._exempt_recipient(request.recipient))

    def plan_message(self, request: PolicyRequest, now: int, known: Traffic | None = None) -> ChargePlan:
        """Return the charges of a whole message (END-OF-MESSAGE), for ``recipient_count`` recipients.

        ``known`` is what its recipients were attributed to: one message has one account, though
        Postfix may ask about its end with another policy_context.
        """
        single = request.recipient_count == 1 and bool(request.recipient)
        exempt = single and self._exempt_recipient(request.recipient)
        recipients = min(request.recipient_count, MOST_RECIPIENTS)
        return self._plan(request, now, recipients, exempt_recipient=exempt, known=known)

    def _plan(
        self, request: PolicyRequest, now: int, recipients: int, *, exempt_recipient: bool, known: Traffic | None = None
    ) -> ChargePlan:
        traffic = known or self._attribution.traffic(request)
        if traffic.sure is Sure.NOBODY:
            return ChargePlan(traffic, _NO_TERMS, (), ())
        terms = terms_of(self.config, traffic)
        if exempt_recipient or self._exempt(traffic, request):
            return ChargePlan(traffic, terms, (), (), spared=True)
        limits = tuple(in_force(self.config, terms, traffic.kind, now))
        charges = tuple(self._charge(limit, traffic, request, recipients) for limit in limits)
        if all(charge.skipped for charge in charges):
            return ChargePlan(traffic, terms, (), (), spared=bool(charges))
        return ChargePlan(traffic, terms, limits, charges)

    def _charge(self, limit: RateLimit, traffic: Traffic, request: PolicyRequest, recipients: int) -> Charge:
        skipped = limit.recipients is Recipients.REMOTE and self._is_hosted(request.recipient)
        once = limit.counts is not Counts.RECIPIENTS
        cost = max(1, min(request.size, MOST_BYTES)) if limit.counts is Counts.BYTES else 1 if once else recipients
        return Charge(
            counter_type(limit),
            limit.name,
            subject(limit, traffic),
            0 if skipped else cost,
            limit.max or 0,
            limit.window,
            observed=is_observed(self.config, limit, traffic.kind),
            once=once,
            skipped=skipped,
        )

    def _is_hosted(self, recipient: str) -> bool:
        return bool(recipient) and bool(self._attribution.hosted(normalise(recipient, self._delimiter).domain))

    def _exempt(self, traffic: Traffic, request: PolicyRequest) -> bool:
        exempt = self.config.exempt
        if exempt.logins and request.sasl_username and self._exempt_login(traffic, request):
            return True
        return bool(exempt.clients) and within(traffic.client, exempt.clients)

    def _exempt_login(self, traffic: Traffic, request: PolicyRequest) -> bool:
        """Return whether the login is exempt, as it was given or with the domain that it leads to."""
        given = str(normalise(request.sasl_username, self._delimiter))
        return _matches(given, self.config.exempt.logins) or _matches(traffic.user, self.config.exempt.logins)

    def _exempt_recipient(self, recipient: str) -> bool:
        patterns = self.config.exempt.recipients
        return bool(patterns) and _matches(str(normalise(recipient, self._delimiter)), patterns)


def _matches(text: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in patterns)
