"""What a login would hear now, and from which limits: asked of the store without a change."""

from dataclasses import dataclass

from policyd.conf.schema import Config, RateLimit
from policyd.model import Action, Charge, LoginRequest, Outcome, Verdict
from policyd.policy.decide import ACCEPT, decide, refuse_suspended
from policyd.policy.logins import LoginPlanner, client_of, is_known, known_charge
from policyd.policy.plan import ChargePlan
from policyd.policy.subject import is_hosted
from policyd.status import Gauge, gauge
from policyd.store.base import Call, Op
from policyd.store.index import Entry
from policyd.store.redis import RedisStore


@dataclass(frozen=True, slots=True)
class ExplainedLogin:
    """The verdict on a login, and the counters that look at it, those of its client's failures first.

    ``known`` says that somebody logged in from the client lately, so that its failures refuse nobody;
    ``hosted`` that the account is a customer's: policyd knows domains, and not which mailboxes there are.
    """

    mailbox: str
    account: str
    plan: str
    action: str
    why: str
    known: bool
    hosted: bool
    gauges: tuple[Gauge, ...]


async def explain_login(config: Config, store: RedisStore, request: LoginRequest, now: int) -> ExplainedLogin:
    """Return what a login with the right password would hear at ``now``. Raises StoreError."""
    planner = LoginPlanner(config)
    plan, failed = planner.plan(request, now), planner.plan_failed(request, now)
    mark = known_charge(client_of(request.remote))
    held = await _held(store, failed, mark) if failed.charges else None
    known = held is not None and is_known(held)
    verdict, gauges = ACCEPT, list[Gauge]()
    if held is not None:
        failures = held._replace(usages=held.usages[:-1])
        verdict = ACCEPT if known else decide(failed, failures)
        gauges += _gauges(config, failed, failures)
    if verdict.action is Action.ACCEPT:
        verdict = await _if_suspended(store, plan)
    if plan.charges:
        outcome = await _held(store, plan)
        verdict = verdict if verdict.action is not Action.ACCEPT else decide(plan, outcome)
        gauges += _gauges(config, plan, outcome)
    hosted = is_hosted(config, plan.traffic.account)
    return _explained(plan, verdict, gauges, known=known, hosted=hosted)


async def _if_suspended(store: RedisStore, plan: ChargePlan) -> Verdict:
    found = await store.ask(Call(Op.PEEK, plan.traffic.account, None, (), plan.suspendable))
    return refuse_suspended(plan.traffic.kind, found.suspended) if found.suspended else ACCEPT


async def _held(store: RedisStore, plan: ChargePlan, *more: Charge) -> Outcome:
    return await store.ask(Call(Op.PEEK, plan.traffic.account, None, (*plan.charges, *more)))


def _gauges(config: Config, plan: ChargePlan, outcome: Outcome) -> list[Gauge]:
    account = plan.traffic.account
    looked_at = zip(plan.limits, plan.charges, outcome.usages, strict=True)
    return [
        gauge(config, plan.terms, limit, Entry(account, limit.name, charge.subject), usage)
        for limit, charge, usage in looked_at
        if isinstance(limit, RateLimit)
    ]


def _explained(plan: ChargePlan, verdict: Verdict, gauges: list[Gauge], *, known: bool, hosted: bool) -> ExplainedLogin:
    why = verdict.text or ("exempt" if plan.spared else "" if gauges else "no limit looks at it")
    traffic = plan.traffic
    return ExplainedLogin(
        traffic.user, traffic.account, plan.terms.plan, verdict.action.value, why, known, hosted, tuple(gauges)
    )
