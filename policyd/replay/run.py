"""Replays mail under a Config: the same plan, the same script, the same verdict, at the log's own time.

Where the configuration observes, the replay enforces: who would be refused is what is asked. A limit
that observes by itself still refuses nothing, and says what it would have done. Only rates are
replayed, but for those of distinct recipients: a pace moves mail in time, and how it would have come
then no log says.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from policyd.conf.schema import Config, RateLimit
from policyd.model import LOGIN_COUNTS, Counts, Mode, Outcome, PolicyRequest, TrafficKind
from policyd.policy.decide import decide
from policyd.policy.plan import ChargePlan, Planner
from policyd.replay.messages import END, Mail, requests
from policyd.replay.tally import Tally
from policyd.store.base import Call, Op, Record
from policyd.store.batch import Batch, Dated
from policyd.store.embedded import EmbeddedRedis

KEEP = 600_000
"""How long the store remembers a message, in ms of real time: a batch takes far less."""

_AT_ONCE = 500

_OTHER = {Counts.DISTINCT, *LOGIN_COUNTS}
"""What rates count that no log of Postfix tells enough of."""

Progress = Callable[[int], None]
"""Hears how many mails were replayed since the last time."""


class _Step(NamedTuple):
    """One request that costs something, on its way."""

    plan: ChargePlan
    first: bool
    recipients: int
    dated: Dated


@asynccontextmanager
async def private_store() -> AsyncIterator[Batch]:
    """Yield a store of our own, which is gone afterwards. Raises StoreError, StateDirectoryError."""
    with TemporaryDirectory(prefix="policyd-replay-") as directory:
        embedded = EmbeddedRedis(Path(directory) / "state")
        await embedded.start()
        try:
            batch = await Batch.opened(embedded.socket)
            try:
                yield batch
            finally:
                await batch.close()
        finally:
            await embedded.stop()


async def replay(config: Config, mails: Sequence[Mail], batch: Batch, progress: Progress) -> Tally:
    """Return what became of all mail, which is in order of time. Raises StoreError."""
    await batch.clear()
    tally = Tally()
    steps = _steps(Planner(replace(config, mode=Mode.ENFORCE)), mails, tally, progress)
    waiting: list[_Step] = []
    while following := list(islice(steps, _AT_ONCE)):
        batch.send([step.dated for step in following])
        if waiting:
            _note(tally, waiting, await batch.receive())
        waiting = following
    if waiting:
        _note(tally, waiting, await batch.receive())
    return tally


def _steps(planner: Planner, mails: Sequence[Mail], tally: Tally, progress: Progress) -> Iterator[_Step]:
    at_end = planner.config.accounts.charge_at_end
    for number, mail in enumerate(mails):
        for index, request in enumerate(requests(mail, number, at_end=at_end)):
            plan = _rates(_plan(planner, mail, request))
            tally.asked(plan.traffic.kind, max(1, request.recipient_count))
            if plan.charges:
                call = Call(Op.CHARGE, plan.traffic.account, _record(plan, request, index), plan.charges)
                yield _Step(plan, index == 0, max(1, request.recipient_count), Dated(call, mail.at))
        if number % _AT_ONCE == _AT_ONCE - 1:
            progress(_AT_ONCE)
    progress(len(mails) % _AT_ONCE)


def _plan(planner: Planner, mail: Mail, request: PolicyRequest) -> ChargePlan:
    """Return what a request is charged. What policyd refused was a customer's: the sender's, if no login is logged."""
    plan_of = planner.plan_message if request.protocol_state == END else planner.plan
    plan = plan_of(request, mail.at)
    if mail.refused and plan.traffic.kind is TrafficKind.INBOUND:
        return plan_of(request._replace(sasl_username=mail.sender), mail.at)
    return plan


def left_out(config: Config) -> list[str]:
    """Return the limits of a Config that are not replayed, in their order."""
    return [name for name, limit in config.limits.items() if not isinstance(limit, RateLimit) or limit.counts in _OTHER]


def _rates(plan: ChargePlan) -> ChargePlan:
    """Return a plan with the rates only that are replayed."""
    both = zip(plan.limits, plan.charges, strict=True)
    kept = [(limit, charge) for limit, charge in both if isinstance(limit, RateLimit) and charge.member is None]
    limits, charges = tuple(limit for limit, _ in kept), tuple(charge for _, charge in kept)
    return plan._replace(limits=limits, charges=charges, paced=False)


def _record(plan: ChargePlan, request: PolicyRequest, index: int) -> Record | None:
    """Return the record of a message, which only a limit needs that charges it once."""
    if not any(charge.once for charge in plan.charges):
        return None
    return Record("", request.instance, f"{index} {request.recipient}", KEEP)


def _note(tally: Tally, steps: Sequence[_Step], outcomes: Sequence[Outcome]) -> None:
    for step, outcome in zip(steps, outcomes, strict=True):
        tally.used(step.plan, step.dated.at, first=step.first)
        verdict = decide(step.plan, outcome)
        refusing = [verdict.charge] if verdict.text else []  # only a refusal says why
        over = (index for index, usage in enumerate(outcome.usages) if usage.episode is not None)
        for index in [*refusing, *(index for index in over if step.plan.charges[index].observed)]:
            tally.refused(step.plan, index, outcome, step.recipients)
