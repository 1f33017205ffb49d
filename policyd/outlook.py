"""What a mail that is not sent yet would hear: the reasoning of a real request, which charges nothing."""

from dataclasses import dataclass, replace
from functools import partial

from policyd.address import normalise
from policyd.conf.schema import Config, Limit, RateLimit
from policyd.model import Action, Charge, CounterType, Outcome, PolicyRequest, TrafficKind, Usage, Verdict
from policyd.policy.decide import ACCEPT, action_over, decide, moment
from policyd.policy.door import action_at_door, at_door, door
from policyd.policy.plan import ChargePlan, Planner
from policyd.policy.sizes import Seen, taken_together
from policyd.policy.subject import is_hosted
from policyd.policy.traffic import Attribution
from policyd.policy.wording import rule, unconcerned
from policyd.store.base import Call, Op
from policyd.store.redis import RedisStore
from policyd.verdicts import resumes


@dataclass(frozen=True, slots=True)
class LimitOutlook:
    """One limit that is in force for the account. ``unconcerned`` says why it does not look at the mail, if so.

    ``counter`` is the type of its counter. ``action`` is what it would do by itself; ``observed``: it
    only says so. Of a pace ``used`` is how long its next slot is away, ``max`` how long that may be,
    ``window`` its stretch, in ms.
    """

    limit: str
    counter: str
    subject: str
    counts: str
    used: int
    max: int
    window: int
    action: str
    observed: bool
    resumes: str
    origin: str
    unconcerned: str


@dataclass(frozen=True, slots=True)
class DoorOutlook:
    """What a post meets at the door of the list ``posting`` before it is charged: the limits of its size."""

    posting: str
    account: str
    plan: str
    limits: tuple[LimitOutlook, ...]


@dataclass(frozen=True, slots=True)
class Outlook:
    """The verdict on a mail, and how it comes about. ``answer`` is the text that the sender would hear.

    ``hosted``: the account is a customer's, or one of those that there are beside them. ``door`` is
    None where the recipient is no list's posting address.
    """

    sender: str
    recipient: str
    recipients: int
    account: str
    hosted: bool
    plan: str
    traffic: str
    sure: str
    rule: str
    action: str
    answer: str
    ref: str
    suspended_until: str
    spared: bool
    limits: tuple[LimitOutlook, ...]
    door: DoorOutlook | None = None


async def outlook(
    planner: Planner, store: RedisStore, request: PolicyRequest, user: str, now: int, *, seen: Seen
) -> Outlook:
    """Return what a mail would hear at ``now`` that the Unix user ``user`` sends, "" where he is unknown.

    A request with a recipient_count is asked about as a whole. Raises StoreError.
    """
    config = planner.config
    plan_of = planner.plan_message if request.recipient_count > 1 else planner.plan
    plan = plan_of(request, now, lambda _: user)
    outcome = await _peeked(store, plan)
    family = partial(taken_together, planner.lists, seen)
    verdict = ACCEPT if outcome is None else decide(plan, outcome, config.schedules, family)
    usages = outcome.usages if outcome is not None else ()
    charged = list(zip(plan.limits, plan.charges, usages, strict=False))
    looking = {limit.name for limit, charge, _ in charged if not charge.skipped}
    shown = [_looking(plan, *one) for one in charged if one[0].name in looking]
    others = [limit for limit in plan.terms.limits if limit.name not in looking]
    here = bool(Attribution(config).hosted(normalise(request.recipient, config.accounts.delimiter).domain))
    shown += [_unconcerned(limit, unconcerned(config, limit, plan.traffic, now, here=here)) for limit in others]
    post = door(planner, seen, request, now)
    knocked = await _peeked(store, post) if post is not None else None
    if post is not None and knocked is not None:
        verdict = at_door(config, post, plan.traffic, knocked, family) or verdict
    found = _outlook(config, request, plan, verdict, tuple(shown))
    return found if post is None else replace(found, door=_door(config, post, plan.traffic.kind, knocked))


def _door(config: Config, post: ChargePlan, author: TrafficKind, outcome: Outcome | None) -> DoorOutlook:
    limits = list[LimitOutlook]()
    for limit, charge, usage in zip(post.limits, post.charges, outcome.usages if outcome else (), strict=False):
        action = Action.ACCEPT if usage.episode is None else action_at_door(config, limit, author)
        limits.append(replace(_looking(post, limit, charge, usage), action=action.value))
    return DoorOutlook(post.traffic.list, post.traffic.account, post.terms.plan, tuple(limits))


async def _peeked(store: RedisStore, plan: ChargePlan) -> Outcome | None:
    if not plan.charges and not plan.suspendable:
        return None
    outcome = await store.ask(Call(Op.PEEK, plan.traffic.account, None, plan.charges, plan.suspendable))
    both = zip(plan.charges, outcome.usages, strict=False)
    return outcome._replace(usages=tuple(_with_slot(charge, usage, outcome.now) for charge, usage in both))


def _with_slot(charge: Charge, usage: Usage, now: int) -> Usage:
    """Return a usage with the slot that a pace would reserve; a look reserves none."""
    if charge.type is not CounterType.PACE or usage.episode is not None or not usage.used:
        return usage
    return usage._replace(fits_at=now + usage.used)


def _outlook(
    config: Config, request: PolicyRequest, plan: ChargePlan, verdict: Verdict, limits: tuple[LimitOutlook, ...]
) -> Outlook:
    traffic, found = plan.traffic, verdict.suspended
    text, _, ref = verdict.text.partition("; ref ")
    hosted = is_hosted(config, traffic.account)
    return Outlook(
        request.sender, request.recipient, max(1, request.recipient_count), traffic.account, hosted, plan.terms.plan,
        traffic.kind.value, traffic.sure.value, rule(config, traffic, request), verdict.action.value, text, ref,
        moment(found.until) if found and found.until else "", plan.spared, limits,
    )  # fmt: skip


def _looking(plan: ChargePlan, limit: Limit, charge: Charge, usage: Usage) -> LimitOutlook:
    action = Action.DELAY if usage.fits_at else Action.ACCEPT
    if usage.episode is not None:
        action = action_over(limit, plan.traffic.kind, usage)
    return LimitOutlook(
        limit.name, charge.type.value, charge.subject, _counts(limit), usage.used, usage.max, charge.window,
        action.value, charge.observed, resumes(usage), limit.origins.get("max", ""), "",
    )  # fmt: skip


def _unconcerned(limit: Limit, why: str) -> LimitOutlook:
    origin = limit.origins.get("max", "")
    return LimitOutlook(limit.name, "", "", "", 0, 0, 0, "", observed=False, resumes="", origin=origin, unconcerned=why)


def _counts(limit: Limit) -> str:
    return limit.counts.value if isinstance(limit, RateLimit) else ""
