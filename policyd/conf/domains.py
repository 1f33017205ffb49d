"""The domains of ``accounts.domains`` and of included files: each with its plan and its own changes."""

import re
from dataclasses import dataclass
from typing import NamedTuple

from policyd.address import normalise_domain
from policyd.conf.issues import At, Place, shown
from policyd.conf.limits import PLAN_NAME
from policyd.conf.nodes import Node, Scalar, is_null
from policyd.conf.plans import APPLY, CHANGE_KEY, WITHOUT, Rules, adjusted, in_force
from policyd.conf.schema import Terms
from policyd.conf.structures import NOTHING, Key, MapOf, Pair, Values, table
from policyd.conf.values import Json, Placed, Spot, Unfit, Value, text

DOMAIN_CURE = "write a full domain name such as example.org"

PLAN = Key("plan", Spot(PLAN_NAME), "The plan that the domain is on; without it accounts.default_plan.")
CONTACT = Key("contact", text("an address", "owner@example.net", r"^[^@\s]+@[^@\s]+$"), "Who is told about the domain.")
DOMAIN = table(
    PLAN, CONTACT, APPLY, CHANGE_KEY, WITHOUT,
    example="{plan: shared}",
    hints={"extends": "write plan: for a domain"},
)  # fmt: skip

_WITH_DOT = re.compile(r"[^.]+\.[^.]")


def full_domain(written: str) -> str:
    """Return the A-label form of a domain with at least one dot, or "" when it is none."""
    domain = normalise_domain(written)
    return domain if _WITH_DOT.match(domain) else ""


def _key(written: str) -> str | Unfit:
    if full_domain(written):
        return written
    cure = "list each domain; an alias leads to its account" if written.startswith(("*", ".", "@")) else DOMAIN_CURE
    return Unfit(f'"{shown(written)}" is no domain name', cure)


DOMAIN_NAME = Value(_key, "a domain name", "example.org", {"type": "string", "pattern": r"^[^@*\s]+\.[^@*\s]+$"})


class Written(NamedTuple):
    """What stands at a domain. ``plan`` None: the default plan."""

    plan: Placed[str] | None
    contact: str
    adjustments: Values


@dataclass(frozen=True, slots=True)
class _Domain:
    """A plan's name, nothing (the default plan), or a map."""

    example: str = "shared"

    def read(self, node: Node, at: At) -> Written | None:
        if is_null(node):
            return Written(None, "", NOTHING)
        if isinstance(node, Scalar):
            plan = Spot(PLAN_NAME).read(node, at)
            return None if plan is None else Written(plan, "", NOTHING)
        values = DOMAIN.read(node, at)
        if values is None or PLAN.name in values.flawed:
            return None
        return Written(values.maybe(PLAN), values.get(CONTACT, ""), values)

    def schema(self) -> Json:
        return {"anyOf": [PLAN_NAME.schema(), {"type": "null"}, DOMAIN.schema()]}


DOMAINS = MapOf(DOMAIN_NAME, _Domain(), "{example.org: shared}")


class Domain(NamedTuple):
    """A domain as it is in force. ``terms`` is None when they are those of its plan."""

    plan: str
    contact: str
    terms: Terms | None
    place: Place


def domains(pairs: tuple[Pair[Written], ...], default_plan: str, rules: Rules, at: At) -> dict[str, Domain]:
    """Return the domains of one file by their A-labels, without those that a mistake was reported in."""
    found: dict[str, Domain] = {}
    for pair in pairs:
        name = full_domain(pair.name)
        here = at.key(pair.name)
        if name in found:
            report_second(name, pair.place, found[name].place, here)
            continue
        found[name] = _domain(Pair(name, pair.place, pair.value), default_plan, rules, here)
    return found


def report_second(name: str, place: Place, first: Place, at: At) -> None:
    """Report a domain that is listed twice."""
    at.report(place, f"the domain {name} is named a second time, first in {first}", "remove one of the two")


def _domain(pair: Pair[Written], default_plan: str, rules: Rules, at: At) -> Domain:
    written = pair.value or Written(None, "", NOTHING)
    plan = default_plan
    if written.plan is not None:
        plan = written.plan.value
        rules.check_plan(plan, written.plan.place, at)
    values = written.adjustments
    terms: Terms | None = None
    if {APPLY.name, CHANGE_KEY.name, WITHOUT.name} & {*values.names()}:
        drafts = adjusted(rules.drafts(plan), values, f"domain {pair.name}", rules, at)
        terms = Terms(plan, in_force(drafts or {}))
    return Domain(plan, written.contact, terms, pair.place)
