"""Plans: named sets of limits.

``apply`` adds names, ``change`` alters fields, ``without`` removes; plans and domains alike, child
over parent, key by key.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from policyd.conf.issues import At, Place, did_you_mean, joined, shown
from policyd.conf.limits import CHANGE, LIMIT_NAME, PLAN_NAME
from policyd.conf.schema import Limit, RateLimit, Terms
from policyd.conf.structures import NOTHING, Key, ListOf, MapOf, Pair, Values, repeated, table
from policyd.conf.terms import Draft, Elsewhere, base, changed
from policyd.conf.values import Placed, Spot
from policyd.errors import Issue
from policyd.model import Counts, TrafficKind

Drafts = Mapping[str, Draft | None]
"""Limits by name, in the order of ``apply``; None stands for one whose mistakes were reported."""

Pairs = tuple[Pair[Values], ...]

RELAYED, FAILED = "relayed traffic", "failed logins"
"""What limits look at that are in force without a plan."""

EXTENDS = Key("extends", Spot(PLAN_NAME), "The plan that this one begins with.")
APPLY = Key("apply", ListOf(Spot(LIMIT_NAME), "[domain-hourly]"), "The limits that are added.")
CHANGE_KEY = Key(
    "change", MapOf(LIMIT_NAME, CHANGE, "{domain-hourly: {max: 800}}"), "Fields of limits that are altered."
)
WITHOUT = Key("without", ListOf(Spot(LIMIT_NAME), "[domain-hourly]"), "The limits that are removed.")

PLAN = table(
    EXTENDS, APPLY, CHANGE_KEY, WITHOUT, example="{apply: [domain-hourly]}", hints={"limits": "did you mean apply?"}
)
PLANS = MapOf(PLAN_NAME, PLAN, "{shared: {apply: [domain-hourly]}}")


@dataclass(frozen=True, slots=True)
class Rules:
    """All that a plan or a domain can refer to.

    A plan of None is one that a mistake was reported in; ``plans`` of None: all of them.
    ``unread``: the limits could not be read, so that nothing is said about what refers to them.
    """

    limits: Drafts
    elsewhere: Elsewhere
    plans: Mapping[str, Drafts | None] | None
    unread: bool = False

    def check_plan(self, name: str, place: Place, at: At) -> bool:
        """Return whether a plan has that name; report it when it does not."""
        if self.plans is None or name in self.plans:
            return True
        at.report(place, f"no plan is named {shown(name)}", did_you_mean(name, self.plans))
        return False

    def drafts(self, plan: str) -> Drafts | None:
        """Return the limits of a plan."""
        return (self.plans or {}).get(plan)

    def relayed(self) -> Terms:
        """Return the limits that look at relayed traffic; they belong to no plan."""
        return self._planless(RELAYED)

    def failed_logins(self) -> Terms:
        """Return the limits that count failed logins; they belong to no plan, as those who fail to no account."""
        return self._planless(FAILED)

    def _planless(self, what: str) -> Terms:
        drafts = {name: draft for name, draft in self.limits.items() if _without_plan(draft) == what}
        return Terms("", in_force(drafts))


def in_force(drafts: Drafts) -> tuple[Limit, ...]:
    """Return the limits of drafts, in their order."""
    return tuple(draft.limit for draft in drafts.values() if draft is not None)


def rules(limits: Pairs | None, plans: Pairs | None, elsewhere: Elsewhere, issues: list[Issue]) -> Rules:
    """Return the limits and plans of a file, each with its mistakes reported once.

    None stands for a section that could not be read: nothing is said about what refers to it.
    """
    at = At(issues)
    drafts = {pair.name: base(pair, elsewhere, at.key("limits").key(pair.name)) for pair in limits or ()}
    bare = Rules(drafts, elsewhere, None, unread=limits is None)
    return bare if plans is None else replace(bare, plans=_Plans(plans, bare, at.key("plans")).all())


class _Plans:
    """The plans in the making: each is built after the one that it extends."""

    def __init__(self, pairs: Pairs, rules: Rules, at: At) -> None:
        self._pairs = {pair.name: pair for pair in pairs}
        self._rules = rules
        self._at = at
        self._done: dict[str, Drafts | None] = {}

    def all(self) -> dict[str, Drafts | None]:
        for name in self._pairs:
            self._build(name)
        return {name: self._done[name] for name in self._pairs}

    def _build(self, name: str) -> None:
        """Build a plan and those it extends. Not recursive: a chain may be long."""
        chain: list[str] = []
        following: str | None = name
        while following is not None and following not in self._done and following not in chain:
            chain.append(following)
            following = self._parent_of(following)
        if following in chain:
            self._report_circle(chain[chain.index(following) :])
        for child in reversed(chain):
            if child not in self._done:
                self._done[child] = self._built(child)

    def _parent_of(self, name: str) -> str | None:
        values = self._pairs[name].value
        extends = values.maybe(EXTENDS) if values else None
        return extends.value if extends and extends.value in self._pairs else None

    def _built(self, name: str) -> Drafts | None:
        values = self._pairs[name].value
        if values is None:
            return None
        at = self._at.key(name)
        extends = values.maybe(EXTENDS)
        if extends is not None and extends.value not in self._pairs:
            at.key("extends").report(
                extends.place, f"no plan is named {extends.value}", did_you_mean(extends.value, self._pairs)
            )
        known = EXTENDS.name not in values.flawed
        parent = self._done.get(extends.value) if extends else {} if known else None
        return adjusted(parent, values, f"plan {name}", self._rules, at)

    def _report_circle(self, circle: list[str]) -> None:
        values = self._pairs[circle[0]].value or NOTHING
        way = " -> ".join([*circle, circle[0]])
        at = self._at.key(circle[0]).key("extends")
        at.report(values.place_of(EXTENDS), f"the plans go in a circle: {way}", "let one of them begin without extends")
        self._done |= dict.fromkeys(circle, None)


def adjusted(parent: Drafts | None, values: Values, owner: str, rules: Rules, at: At) -> Drafts | None:
    """Return the parent's limits after ``without``, ``apply`` and ``change``.

    None stands for limits that are not known, since a mistake was reported in them: nothing is
    said about what they may lack.
    """
    if rules.unread:
        return None
    known = parent is not None and not {APPLY.name, WITHOUT.name} & values.flawed
    drafts = dict(parent or {})
    without = repeated(values.get(WITHOUT, ()), at.key("without"))
    applied = repeated(values.get(APPLY, ()), at.key("apply"))
    for name, place in values.get(WITHOUT, ()):
        _check_removed(Placed(name, place), drafts, applied, rules, at, known=known)
    for name in without:
        drafts.pop(name, None)
    for name, place in values.get(APPLY, ()):
        known = _check_applied(Placed(name, place), rules, at.key("apply")) and known
        drafts.setdefault(name, rules.limits.get(name))
    for pair in values.get(CHANGE_KEY, ()):
        here = at.key("change").key(pair.name)
        if _check_changed(pair, drafts, rules, here, known=known):
            draft = drafts.get(pair.name)
            drafts[pair.name] = (
                changed(draft, pair.value, owner, rules.elsewhere, here) if draft and pair.value else None
            )
    return drafts if known else None


def _check_removed(name: Placed[str], drafts: Drafts, applied: list[str], rules: Rules, at: At, *, known: bool) -> None:
    here = at.key("without")
    if name.value not in rules.limits:
        here.report(name.place, f"no limit is named {name.value}", did_you_mean(name.value, rules.limits))
    elif name.value in applied:
        here.report(name.place, f"{name.value} stands in apply as well", "remove it from one of the two")
    elif known and name.value not in drafts:
        here.report(name.place, f"{name.value} is not there to be removed", "remove it from without")


def _check_applied(name: Placed[str], rules: Rules, at: At) -> bool:
    if name.value not in rules.limits:
        at.report(name.place, f"no limit is named {name.value}", did_you_mean(name.value, rules.limits))
        return False
    what = _without_plan(rules.limits[name.value])
    if what:
        at.report(name.place, f"{name.value} looks at {what} and is in force without a plan", "remove it from apply")
    return True


def _check_changed(pair: Pair[Values], drafts: Drafts, rules: Rules, at: At, *, known: bool) -> bool:
    if pair.name in drafts:
        return True
    if pair.name not in rules.limits:
        at.report(pair.place, f"no limit is named {pair.name}", did_you_mean(pair.name, rules.limits))
    elif what := _without_plan(rules.limits[pair.name]):
        at.report(pair.place, f"a limit of {what} belongs to no plan", f"change it in {joined('limits', pair.name)}")
    elif known:
        at.report(pair.place, f"{shown(pair.name)} is not applied here", "add it to apply, or remove the change")
    return False


def _without_plan(draft: Draft | None) -> str:
    """Return what a limit looks at that needs no plan, "" for one of a plan."""
    if draft is None:
        return ""
    if isinstance(draft.limit, RateLimit) and draft.limit.counts is Counts.FAILED_LOGINS:
        return FAILED
    return RELAYED if TrafficKind.RELAYED in draft.limit.traffic else ""
