"""The door of a list: what a post to it hears before anything is charged. Pure, time is an argument.

Who posts to a list that is too large for its plan learns it at once, and not from members who have no
copy. Only the posting address is a door: -request, -owner and the like are none.
"""

from collections.abc import Container

from policyd.address import normal_form, normalise
from policyd.conf.schema import Config, Limit, SizeLimit
from policyd.model import Action, Outcome, PolicyRequest, Sure, Suspension, Traffic, TrafficKind, Verdict
from policyd.policy.decide import Family, moment, opens, size_text, whose
from policyd.policy.limits import in_force, is_observed, terms_of
from policyd.policy.plan import ChargePlan, Planner
from policyd.policy.sizes import looks_at, size_look, size_subject
from policyd.policy.suspendable import suspendable

_CLOSED = "This list cannot take posts now"


def door(planner: Planner, seen: Container[str], request: PolicyRequest, now: int) -> ChargePlan | None:
    """Return what is looked at before a post is taken, None where the recipient is no list's posting address.

    ``seen`` are lists that have mailed; the planner knows others.
    """
    config = planner.config
    posting = normal_form(request.recipient, config.accounts.delimiter)
    if not planner.lists.knows(posting) and posting not in seen:
        return None
    traffic = planner.of_list(normalise(posting, ""))
    if traffic is None or planner.is_exempt(request, request.recipient):
        return None
    terms = terms_of(config, traffic)
    sizes = (limit for limit in in_force(config, terms, traffic.kind, now) if isinstance(limit, SizeLimit))
    looking = (limit for limit in sizes if looks_at(limit, posting, planner.lists))
    limits = tuple(limit for limit in looking if _shuts(config, limit))
    subjects = [size_subject(limit, posting, planner.lists) for limit in limits]
    charges = (size_look(config, limit, of, planner.lists) for limit, of in zip(limits, subjects, strict=True))
    return ChargePlan(traffic, terms, limits, tuple(charges), suspendable=suspendable(traffic))


def _shuts(config: Config, limit: SizeLimit) -> bool:
    """Return whether a limit has a say at the door: one of an hour only where posts do not wait for theirs."""
    if is_observed(config, limit, TrafficKind.LIST):
        return False
    return not limit.lifted_by or config.lists.outside_hours is not Action.ACCEPT


def at_door(config: Config, post: ChargePlan, author: Traffic, outcome: Outcome, family: Family) -> Verdict | None:
    """Return the refusal of a post, None when the list takes it.

    What is too large at any hour goes before what is too large for this one.
    """
    if outcome.suspended is not None:
        return refuse_post(author.kind, outcome.suspended)
    over = [index for index, usage in enumerate(outcome.usages) if usage.episode is not None]
    if not over:
        return None
    index = min(over, key=lambda number: bool(post.limits[number].lifted_by))
    limit, usage = post.limits[index], outcome.usages[index]
    again = opens(limit, config.schedules, outcome.now)
    text = f"{_CLOSED}; it can from {moment(again)} on" if again is not None else _CLOSED
    if author.account == post.traffic.account and author.sure is Sure.VERIFIED and isinstance(limit, SizeLimit):
        who = whose(limit, post.charges[index].subject, family(limit, post.traffic.list))
        text = size_text(limit, who, usage, post.terms.plan, again)
    return Verdict(action_at_door(config, limit, author.kind), text, index)


def refuse_post(kind: TrafficKind, suspension: Suspension) -> Verdict:
    """Return the refusal of a post to a suspended list, which tells an author outside nothing about it."""
    action = Action.REJECT if kind in {TrafficKind.USER, TrafficKind.INBOUND} else Action.DEFER
    return Verdict(action, f"{_CLOSED}; ref {suspension.ref}", suspended=suspension)


def posted(post: ChargePlan, author: Traffic) -> ChargePlan:
    """Return the plan of a refused post as it is recorded: the list's account, and the kind of its author."""
    return post._replace(traffic=author._replace(account=post.traffic.account, list=post.traffic.list))


def action_at_door(config: Config, limit: Limit, author: TrafficKind) -> Action:
    """Return what a refused post hears. Another list's member is not struck off for it."""
    if author is TrafficKind.LIST:
        return Action.DEFER
    return config.lists.outside_hours if limit.lifted_by else Action.REJECT
