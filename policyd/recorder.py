"""What is kept of a decision: metrics, one line of the decision log, the index.

All of it is in memory here; writing happens once per loop tick (log), once per second (index) and
at a scrape (metrics).
"""

import asyncio
import logging
from time import perf_counter

from policyd.errors import StoreError
from policyd.event import Event, EventKind, refusal_reason
from policyd.log import DecisionLog
from policyd.metrics import Metrics
from policyd.model import NEVER_FITS, Action, Charge, Outcome, Usage, Verdict
from policyd.policy.decide import action_over, moment
from policyd.service import Decision
from policyd.settlement import Kind, OpenMessage
from policyd.store.index import Entry, Index
from policyd.store.trail import Trail

_SERVICE = "postfix"
_AT_ONCE = 200
_MOST_COUNTERS = 50_000
_log = logging.getLogger("policyd.decide")

Fields = dict[str, str | int | float]


class DecisionRecorder:
    """Implements service.Recorder."""

    def __init__(self, metrics: Metrics, log: DecisionLog, index: Index, trail: Trail) -> None:
        self._metrics, self._lines, self._index, self._trail = metrics, log, index, trail
        self._latest: dict[tuple[str, Charge], tuple[Usage, int]] = {}

    def decided(self, decision: Decision, verdict: Verdict, outcome: Outcome | None) -> None:
        """Count a verdict; log what was refused or would have been, and all with log.accepted."""
        kind, seconds = decision.plan.traffic.kind, perf_counter() - decision.started
        self._metrics.decided(_SERVICE, kind, verdict.action, seconds)
        if outcome is None:
            if decision.config.log_accepted and decision.plan.traffic.account:
                self._write(decision, verdict.action, seconds)
            return
        if outcome.repeated:
            self._metrics.repeated()
        self._note_usages(decision, outcome)
        if verdict.charge >= 0:
            self._refused(decision, verdict, outcome, seconds)
        elif not self._observed(decision, outcome, seconds) and decision.config.log_accepted:
            self._write(decision, verdict.action, seconds, *_fullest(decision, outcome))

    def settled(self, decision: Decision, outcome: Outcome) -> None:
        """Log a completed message with what its domain has used."""
        kind, seconds = decision.plan.traffic.kind, perf_counter() - decision.started
        self._metrics.decided(_SERVICE, kind, Action.ACCEPT, seconds)
        if outcome.unknown:
            self._metrics.settle_unknown()
        if outcome.repeated:
            self._metrics.repeated()
        self._note_usages(decision, outcome)
        limit, usage = _fullest(decision, outcome)
        extra: Fields = {"recipients": decision.request.recipient_count}
        self._write(decision, "settle", seconds, limit, usage, extra)

    def without_store(self, decision: Decision, verdict: Verdict, error: StoreError) -> None:
        """Count and log an answer that was given without the store."""
        kind, seconds = decision.plan.traffic.kind, perf_counter() - decision.started
        self._metrics.decided(_SERVICE, kind, verdict.action, seconds)
        self._metrics.store_failed(error.op)
        self._metrics.answered_without_store(verdict.action)
        self._write(decision, verdict.action, seconds, extra={"store": str(error)})

    def given_back(self, message: OpenMessage) -> None:  # noqa: ARG002  # one of many that may listen
        """Count a message whose charges were undone."""
        self._metrics.given_back()

    def settle_lost(self, kind: Kind) -> None:
        """Say that a kind of traffic shows no END-OF-MESSAGE any more, so that its charges are final."""
        self._metrics.settle_lost()
        _log.error(
            "no END-OF-MESSAGE any more for %s: charges are final there; put check_policy_service into "
            "smtpd_end_of_data_restrictions of that port, or set accounts.settle: recipient",
            kind,
        )

    def _refused(self, decision: Decision, verdict: Verdict, outcome: Outcome, seconds: float) -> None:
        limit, usage = decision.plan.limits[verdict.charge], outcome.usages[verdict.charge]
        traffic, plan = decision.plan.traffic, decision.plan
        self._metrics.refused(limit.name, plan.terms.plan, traffic.kind)
        self._tell(decision, verdict.charge, outcome, verdict.action)
        self._write(decision, verdict.action, seconds, limit.name, usage)

    def _observed(self, decision: Decision, outcome: Outcome, seconds: float) -> bool:
        """Note what mode observe let through; returns whether there was any."""
        plan, any_over = decision.plan, False
        for index, usage in enumerate(outcome.usages):
            if usage.episode is None:
                continue
            any_over, limit = True, plan.limits[index]
            would = action_over(limit, plan.traffic.kind, usage)
            self._metrics.observed(limit.name, plan.terms.plan, plan.traffic.kind)
            self._index.observed(_entry(decision, index), outcome.now)
            self._tell(decision, index, outcome, would)
            self._write(decision, Action.ACCEPT, seconds, limit.name, usage, {"observed": would})
        return any_over

    def _tell(self, decision: Decision, index: int, outcome: Outcome, action: Action) -> None:
        """Put the story of a new reference into the index and the trail of all."""
        usage = outcome.usages[index]
        if usage.episode is None or not usage.episode.started:
            return
        traffic, entry = decision.plan.traffic, _entry(decision, index)
        story: dict[str, str | int] = {
            "ref": usage.episode.ref, "action": action, "account": entry.account, "limit": entry.limit,
            "subject": entry.subject, "used": usage.used, "max": usage.max, "resumes": _resumes(usage),
            "plan": decision.plan.terms.plan, "traffic": traffic.kind, "sure": traffic.sure, "user": traffic.user,
            "client": decision.request.client_address, "queue_id": decision.request.queue_id,
        }  # fmt: skip
        self._index.episode(usage.episode.ref, story)
        who = traffic.user or decision.request.client_address
        why = refusal_reason(usage.used, usage.max, observed=decision.plan.charges[index].observed)
        refusal = Event(outcome.now, EventKind.REFUSAL, entry.account, entry.subject, who, why)
        self._trail.note(refusal._replace(limit=entry.limit, ref=usage.episode.ref))

    async def spread(self) -> None:
        """Tell metrics and index of the counters that changed since the last time, without stalling the loop."""
        latest, self._latest = self._latest, {}
        for number, ((account, charge), (usage, now)) in enumerate(latest.items()):
            ratio = usage.used / usage.max if usage.max else 1.0
            self._index.used(Entry(account, charge.limit, charge.subject), ratio, now, charge.window)
            self._metrics.usage(account, charge.limit, usage.used, usage.max, charge.window, charge.subject)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)

    def _note_usages(self, decision: Decision, outcome: Outcome) -> None:
        """Keep what each counter holds now; a busy one is told of once in a while, not with each request."""
        if len(self._latest) >= _MOST_COUNTERS:
            return
        account, now = decision.plan.traffic.account, outcome.now
        for charge, usage in zip(decision.plan.charges, outcome.usages, strict=True):
            self._latest[account, charge] = (usage, now)

    def _write(  # noqa: PLR0917  # the parts of one log line
        self, decision: Decision, action: str, seconds: float, limit: str = "", usage: Usage | None = None,
        extra: Fields | None = None,
    ) -> None:  # fmt: skip
        traffic, request = decision.plan.traffic, decision.request
        episode = usage.episode if usage is not None else None
        fields: Fields = {
            "action": action,
            "limit": limit,
            "used": f"{usage.used}/{usage.max}" if usage is not None else "",
            "account": traffic.account,
            "sure": traffic.sure,
            "traffic": traffic.kind,
            "queue_id": request.queue_id,
            "sasl": request.sasl_username,
            "client": request.client_address,
            "sender": request.sender,
            "recipient": request.recipient,
            "resumes": _resumes(usage) if usage is not None else "",
            "ref": episode.ref if episode is not None else "",
            "ms": round(seconds * 1000, 2),
        }
        fields.update(extra or {})
        self._lines.write(fields)


def _entry(decision: Decision, index: int) -> Entry:
    charge = decision.plan.charges[index]
    return Entry(decision.plan.traffic.account, charge.limit, charge.subject)


def _resumes(usage: Usage) -> str:
    if not usage.fits_at:
        return ""
    return "never" if usage.fits_at == NEVER_FITS else moment(usage.fits_at)


def _fullest(decision: Decision, outcome: Outcome) -> tuple[str, Usage | None]:
    """Return the limit that is nearest to its maximum, and its usage."""
    if len(outcome.usages) == 1:
        return decision.plan.charges[0].limit, outcome.usages[0]
    found = max(enumerate(outcome.usages), key=lambda one: one[1].used / (one[1].max or 1), default=None)
    return (decision.plan.charges[found[0]].limit, found[1]) if found else ("", None)
