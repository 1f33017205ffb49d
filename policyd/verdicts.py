"""What is kept of a verdict, whoever asked: metrics, the decision log, the index, the trail of events.

All of it is in memory here; writing happens once per loop tick (log), once per second (index and
trail) and at a scrape (metrics).
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Generic, Protocol, TypeVar

from policyd.conf.schema import Config, Limit, PaceLimit, RateLimit, SizeLimit
from policyd.errors import StoreError
from policyd.event import Event, EventKind, refusal_reason
from policyd.log import DecisionLog
from policyd.metrics import Metrics
from policyd.model import (
    NEVER_FITS,
    Action,
    Charge,
    CounterType,
    Outcome,
    Sure,
    Suspension,
    TrafficKind,
    Usage,
    Verdict,
)
from policyd.policy.decide import action_over, moment, waiting_reason
from policyd.policy.plan import ChargePlan
from policyd.store.base import Call
from policyd.store.index import Entry, Index
from policyd.store.trail import Trail
from policyd.striker import Striker

_AT_ONCE = 25
"""Counters that are told of at once: a request that comes meanwhile waits for them."""

_NEAR = 0.8
_MOST_COUNTERS = 50_000

SUSPENSION = "(suspension)"
"""The label ``limit`` of refusals that no limit made; no limit has such a name."""

Fields = dict[str, str | int | float]


Near = Callable[[Event, int], None]

RATES = frozenset({CounterType.RING, CounterType.LOG, CounterType.DISTINCT})
"""The counters that fill up and become empty by themselves."""


class Usages:
    """What each counter held last: a busy one is told of once in a while, not with each request."""

    def __init__(self, metrics: Metrics, index: Index, near: Near) -> None:
        """Take the parts; ``near`` is called, again and again, with what is nearly used up, and its window."""
        self._metrics, self._index, self._near = metrics, index, near
        self._latest: dict[Entry, tuple[Charge, Usage, int, TrafficKind | None]] = {}

    def note(self, plan: ChargePlan, outcome: Outcome) -> None:
        """Keep what each counter of a plan holds now."""
        self._keep(plan.traffic.account, plan.charges, outcome, plan.traffic.kind)

    def paid(self, call: Call, outcome: Outcome) -> None:
        """Keep what each counter of a call holds that was paid back, whose traffic is not known any more."""
        self._keep(call.account, call.charges, outcome, None)

    def _keep(self, account: str, charges: tuple[Charge, ...], outcome: Outcome, kind: TrafficKind | None) -> None:
        if len(self._latest) >= _MOST_COUNTERS:
            return
        for charge, usage in zip(charges, outcome.usages, strict=True):
            if charge.type is CounterType.PACE:
                continue  # a pace that is kept is always full
            self._latest[Entry(account, charge.limit, charge.subject)] = (charge, usage, outcome.now, kind)

    async def spread(self) -> None:
        """Tell metrics and index of the counters that changed since the last time, without stalling the loop."""
        latest, self._latest = self._latest, {}
        for number, (entry, (charge, usage, now, kind)) in enumerate(latest.items()):
            ratio = usage.used / usage.max if usage.max else 1.0
            self._index.used(entry, ratio, now, charge.window)
            self._metrics.usage(entry.account, entry.limit, usage.used, usage.max, charge.window, entry.subject)
            if ratio >= _NEAR and not charge.observed and charge.type in RATES and kind is not TrafficKind.LOGIN:
                why = refusal_reason(usage.used, usage.max, observed=False)
                event = Event(now, EventKind.NEAR_LIMIT, entry.account, entry.subject, "", why, entry.limit)
                self._near(event, charge.window)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)


@dataclass(frozen=True, slots=True)
class Kept:
    """Where everything is kept."""

    metrics: Metrics
    log: DecisionLog
    index: Index
    trail: Trail
    usages: Usages
    striker: Striker


class Decided(Protocol):
    """As much of a decision as every service's has."""

    @property
    def config(self) -> Config:
        """The configuration that it was decided under."""

    @property
    def plan(self) -> ChargePlan:
        """What it charges."""

    @property
    def started(self) -> float:
        """When it was asked, by perf_counter."""


D = TypeVar("D", bound=Decided)


class VerdictRecorder(ABC, Generic[D]):
    """What is kept of the verdicts of any service. ``service`` is its metric label."""

    service: str

    def __init__(self, kept: Kept) -> None:
        self._metrics, self._lines, self._usages = kept.metrics, kept.log, kept.usages
        self._index, self._trail, self._striker = kept.index, kept.trail, kept.striker

    def decided(self, decision: D, verdict: Verdict, outcome: Outcome | None) -> None:
        """Count a verdict; log what was refused or would have been, and all with log.accepted."""
        kind, seconds = decision.plan.traffic.kind, perf_counter() - decision.started
        self._metrics.decided(self.service, kind, verdict.action, seconds)
        if verdict.suspended is not None:
            self._suspended(decision, verdict.action, verdict.suspended, seconds)
            return
        if outcome is None:
            if decision.config.log_accepted and decision.plan.traffic.account:
                self._write(decision, verdict.action, seconds)
            return
        if outcome.repeated:
            self._metrics.repeated()
        self._usages.note(decision.plan, outcome)
        if verdict.action is Action.DELAY:
            charge = decision.plan.charges[verdict.charge]
            self._write(decision, Action.DELAY, seconds, charge.limit, outcome.usages[verdict.charge])
            self._observed(decision, outcome, seconds)
        elif verdict.charge >= 0:
            self._refused(decision, verdict, outcome, seconds)
        elif not self._observed(decision, outcome, seconds) and decision.config.log_accepted:
            self._write(decision, verdict.action, seconds, *fullest(decision, outcome))

    def without_store(self, decision: D, verdict: Verdict, error: StoreError) -> None:
        """Count and log an answer that was given without the store."""
        kind, seconds = decision.plan.traffic.kind, perf_counter() - decision.started
        self._metrics.decided(self.service, kind, verdict.action, seconds)
        self._metrics.store_failed(error.op)
        why: Fields = {"store": str(error)}
        if verdict.suspended is not None:
            self._suspended(decision, verdict.action, verdict.suspended, seconds, why)
            return
        self._metrics.answered_without_store(verdict.action)
        self._write(decision, verdict.action, seconds, extra=why)

    def _refused(self, decision: D, verdict: Verdict, outcome: Outcome, seconds: float) -> None:
        plan, usage = decision.plan, outcome.usages[verdict.charge]
        limit = plan.limits[verdict.charge]
        self._metrics.refused(limit.name, plan.terms.plan, plan.traffic.kind)
        self._tell(decision, verdict.charge, outcome, verdict.action)
        self._write(decision, verdict.action, seconds, limit.name, usage)
        begun = usage.episode if usage.episode is not None and usage.episode.started else None
        if limit.strikes is not None and begun is not None and not _had_no_place(limit, plan.traffic.kind, usage):
            self._striker.struck(plan.traffic, limit.name, limit.strikes, begun.ref, outcome.now)

    def _suspended(
        self, decision: D, action: Action, found: Suspension, seconds: float, extra: Fields | None = None
    ) -> None:
        self._metrics.refused(SUSPENSION, decision.plan.terms.plan, decision.plan.traffic.kind)
        until = moment(found.until) if found.until else ""
        said: Fields = {"suspended": found.name, "resumes": until, "ref": found.ref, **(extra or {})}
        self._write(decision, action, seconds, extra=said)

    def _observed(self, decision: D, outcome: Outcome, seconds: float) -> bool:
        """Note what mode observe let through; returns whether there was any."""
        over = [index for index, usage in enumerate(outcome.usages) if usage.episode is not None]
        for index in over:
            self._would_refuse(decision, index, outcome, seconds)
        return bool(over)

    def _would_refuse(self, decision: D, index: int, outcome: Outcome, seconds: float) -> None:
        plan, limit, usage = decision.plan, decision.plan.limits[index], outcome.usages[index]
        would = action_over(limit, plan.traffic.kind, usage)
        self._metrics.observed(limit.name, plan.terms.plan, plan.traffic.kind)
        self._index.observed(_entry(decision, index), outcome.now)
        self._tell(decision, index, outcome, would)
        self._write(decision, Action.ACCEPT, seconds, limit.name, usage, {"observed": would})

    def _tell(self, decision: D, index: int, outcome: Outcome, action: Action) -> None:
        """Put the story of a new reference into the index and the trail of all."""
        usage = outcome.usages[index]
        if usage.episode is None or not usage.episode.started:
            return
        traffic, entry, asked = decision.plan.traffic, _entry(decision, index), self._asked(decision)
        limit, charge = decision.plan.limits[index], decision.plan.charges[index]
        story: Fields = {
            "ref": usage.episode.ref, "at": moment(outcome.now), "action": action, "account": entry.account,
            "limit": entry.limit, "subject": entry.subject, "used": usage.used, "max": usage.max, "cost": charge.cost,
            "counts": limit.counts if isinstance(limit, RateLimit) else "", "window": charge.window,
            "resumes": resumes(usage), "observed": charge.observed, "origin": limit.origins.get("max", ""),
            "plan": decision.plan.terms.plan, "traffic": traffic.kind, "sure": traffic.sure, "user": traffic.user,
            **asked,
        }  # fmt: skip
        self._index.episode(usage.episode.ref, story)
        who = traffic.user or asked["client"]
        charge = decision.plan.charges[index]
        paced = charge.type is CounterType.PACE
        why = refusal_reason(usage.used, usage.max, observed=charge.observed, paced=paced)
        refusal = Event(outcome.now, EventKind.REFUSAL, entry.account, entry.subject, who, why)
        refusal = refusal._replace(limit=entry.limit, ref=usage.episode.ref)
        if isinstance(limit, SizeLimit) and traffic.sure is Sure.VERIFIED and not charge.observed:
            waits = waiting_reason(decision.config, limit, usage, outcome.now)
            self._trail.note(refusal._replace(event=EventKind.MAILING_WAITS, why=waits), known=False)
        else:
            self._trail.note(refusal)

    @abstractmethod
    def _write(  # noqa: PLR0917  # the parts of one log line
        self, decision: D, action: str, seconds: float, limit: str = "", usage: Usage | None = None,
        extra: Fields | None = None,
    ) -> None:  # fmt: skip
        """Write the log line of a decision."""

    @abstractmethod
    def _asked(self, decision: D) -> dict[str, str]:
        """Return what the story of a reference says of the request; ``client`` is its address."""


def _had_no_place(limit: Limit, kind: TrafficKind, usage: Usage) -> bool:
    """Return whether an answer was refused only since too many wait already, which may be others' doing."""
    return isinstance(limit, PaceLimit) and limit.over[kind] is Action.DELAY and usage.max == 0


def _entry(decision: Decided, index: int) -> Entry:
    charge = decision.plan.charges[index]
    return Entry(decision.plan.traffic.account, charge.limit, charge.subject)


def resumes(usage: Usage) -> str:
    """Return when a cost fits that was refused or delayed, "" for one that fitted."""
    if not usage.fits_at:
        return ""
    return "never" if usage.fits_at == NEVER_FITS else moment(usage.fits_at)


def fullest(decision: Decided, outcome: Outcome) -> tuple[str, Usage | None]:
    """Return the limit that is nearest to its maximum, and its usage."""
    if len(outcome.usages) == 1:
        return decision.plan.charges[0].limit, outcome.usages[0]
    found = max(enumerate(outcome.usages), key=lambda one: one[1].used / (one[1].max or 1), default=None)
    return (decision.plan.charges[found[0]].limit, found[1]) if found else ("", None)
