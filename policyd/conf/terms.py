"""From what is written to the limit that is in force: layers of fields, child over parent.

A limit begins in ``limits``; plans and domains lay their ``change`` over it, key by key. After each
layer it is checked as a whole, and what is wrong is reported once, at the layer that made it wrong.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from policyd.conf import paces, rates, sizes
from policyd.conf.issues import At, Place, did_you_mean
from policyd.conf.limits import COUNTS, KIND, LIFTED_BY, MODE, OVER, PACE, RATE, SIZE, STRIKES, TRAFFIC, OverByTraffic
from policyd.conf.schema import Limit, Schedule
from policyd.conf.strikes import strikes
from policyd.conf.structures import Pair, Record, Values
from policyd.model import Action, Counts, Mode, TrafficKind

Schedules = Mapping[str, Schedule | None] | None
"""Schedules by name. None in place of one, or of all: its mistakes were reported."""


class Elsewhere(NamedTuple):
    """What limits depend on elsewhere in the file; None for what could not be read."""

    schedules: Schedules
    policy_timeout: int | None


DEFAULT_OVER = {
    TrafficKind.USER: Action.REJECT,
    TrafficKind.SCRIPT: Action.DEFER,
    TrafficKind.LIST: Action.DEFER,
    TrafficKind.RELAYED: Action.DEFER,
    TrafficKind.LOGIN: Action.REJECT,
}
"""What happens over a limit that does not say it."""

_DELAY = dict.fromkeys(DEFAULT_OVER, Action.DELAY)

RATE_KIND = "rate"

_FORBIDDEN = {
    (TrafficKind.LIST, Action.REJECT): "a list's members would be punished for its copies",
    (TrafficKind.RELAYED, Action.REJECT): "the sender of relayed traffic may be invented, and would get the bounce",
    (TrafficKind.USER, Action.QUARANTINE): "quarantine is for script traffic",
    (TrafficKind.LIST, Action.QUARANTINE): "quarantine is for script traffic",
    (TrafficKind.RELAYED, Action.QUARANTINE): "quarantine is for script traffic",
}


class _Kind(NamedTuple):
    """What a kind of limit is: its keys, the traffic it looks at, its checks, and the limit of its own fields.

    ``check`` gets the newest layer and all of them, and Postfix's timeout. ``actions`` are those
    that it can take, ``over`` is what it does where nothing is written.
    """

    keys: Record
    traffic: Callable[[Values], tuple[TrafficKind, ...]]
    check: Callable[[Values, Values, At, int | None], None]
    made: Callable[[str, Values], Limit]
    actions: tuple[Action, ...]
    over: Mapping[TrafficKind, Action]


_KINDS = {
    "rate": _Kind(
        RATE, rates.traffic, rates.check, rates.rate,
        (Action.ACCEPT, Action.DEFER, Action.REJECT, Action.QUARANTINE), DEFAULT_OVER,
    ),
    "pace": _Kind(
        PACE, rates.traffic, paces.check, paces.pace, (Action.DELAY, Action.DEFER, Action.ACCEPT), _DELAY
    ),
    "size": _Kind(SIZE, sizes.traffic, sizes.check, sizes.size, (Action.DEFER, Action.ACCEPT), DEFAULT_OVER),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Draft:
    """A limit with the fields of all layers so far. ``limit`` is what they mean."""

    limit: Limit
    values: Values
    over: OverByTraffic


def base(pair: Pair[Values], elsewhere: Elsewhere, at: At) -> Draft | None:
    """Return the draft of one entry of ``limits``, None when it cannot be used."""
    if pair.value is None:
        return None
    draft = _draft(pair.name, _Layers(pair.value, pair.value, {}), f"limit {pair.name}", elsewhere, at)
    required = {key.name for key in _kind(pair.value).keys.keys if key.required}
    return draft if required <= set(pair.value.names()) else None


def changed(draft: Draft, values: Values, owner: str, elsewhere: Elsewhere, at: At) -> Draft | None:
    """Return the draft with one more layer, which ``owner`` ("plan shared") wrote."""
    if TrafficKind.RELAYED in values.get(TRAFFIC, ()):
        cure = "write a limit of its own for relayed traffic; it needs no plan"
        at.key(TRAFFIC.name).report(values.place_of(TRAFFIC), "a plan or domain has no relayed traffic", cure)
        return None
    if values.maybe(COUNTS) is Counts.FAILED_LOGINS:
        cure = "write a limit of its own for failed logins; it needs no plan"
        at.key(COUNTS.name).report(values.place_of(COUNTS), "a plan or domain has no failed logins", cure)
        return None
    layers = _Layers(values, values.over(draft.values), draft.over, draft.limit.origins)
    return _draft(draft.limit.name, layers, owner, elsewhere, at)


@dataclass(frozen=True, slots=True)
class _Layers:
    """``newest`` is the layer to be checked, ``values`` is all of them."""

    newest: Values
    values: Values
    over: OverByTraffic
    origins: Mapping[str, str] | None = None


def _draft(name: str, layers: _Layers, owner: str, elsewhere: Elsewhere, at: At) -> Draft | None:
    before = len(at.issues)
    written = layers.newest.get(OVER, {})
    over = dict(written) if None in written else {**layers.over, **written}
    kind, flawed = _kind(layers.values), layers.newest.flawed
    traffic = kind.traffic(layers.values)
    _check_keys(kind, layers, at)
    kind.check(layers.newest, layers.values, at, elsewhere.policy_timeout)
    if TRAFFIC.name not in flawed:
        _check_traffic(traffic, layers.newest, at)
    if TrafficKind.LOGIN not in traffic and not {TRAFFIC.name, OVER.name} & flawed and _can_all(kind, layers, at):
        _check_over(traffic, over, layers.newest, at)
    _check_schedule(layers.newest, elsewhere.schedules, at)
    if len(at.issues) > before or flawed:
        return None
    limit = replace(
        kind.made(name, layers.values),
        over={one: _action(over, one, kind.over) for one in TrafficKind if one in traffic},
        traffic=frozenset(traffic),
        mode=layers.values.get(MODE, Mode.ENFORCE),
        lifted_by=layers.values.get(LIFTED_BY, ""),
        strikes=strikes(given) if (given := layers.values.maybe(STRIKES)) else None,
        origins=_origins(layers, owner),
    )
    return Draft(limit, layers.values, over)


def _kind(values: Values) -> _Kind:
    return _KINDS[values.get(KIND, RATE_KIND)]


def _action(over: OverByTraffic, kind: TrafficKind, default: Mapping[TrafficKind, Action]) -> Action:
    placed = over.get(kind) or over.get(None)
    return placed.value if placed else default[kind]


def _origins(layers: _Layers, owner: str) -> dict[str, str]:
    """Return for each written field who wrote it last; ``over`` by traffic is ``over.user``."""
    written = layers.newest.get(OVER, {})
    names = [name for name in layers.newest.names() if name != OVER.name]
    older = layers.origins or {}
    origins = {name: text for name, text in older.items() if None not in written or not name.startswith(OVER.name)}
    origins |= {name: f"{owner} ({layers.newest.place_named(name)})" for name in names}
    for kind, placed in written.items():
        origins[f"{OVER.name}.{kind}" if kind else OVER.name] = f"{owner} ({placed.place})"
    return origins


def _check_keys(kind: _Kind, layers: _Layers, at: At) -> None:
    """Report a change of a key that limits of other kinds have."""
    known = {key.name for key in kind.keys.keys}
    for name in layers.newest.names():
        if name not in known:
            problem = f"a limit of kind {layers.values.get(KIND, RATE_KIND)} has no {name}"
            at.key(name).report(layers.newest.place_named(name), problem, "remove it")


def _can_all(kind: _Kind, layers: _Layers, at: At) -> bool:
    """Return whether limits of the kind take all actions that are written; report those that they do not."""
    here, before = at.key(OVER.name), len(at.issues)
    for traffic, placed in layers.newest.get(OVER, {}).items():
        if placed.value not in kind.actions:
            problem = f"a limit of kind {layers.values.get(KIND, RATE_KIND)} cannot {placed.value}"
            cure = f"write one of: {', '.join(kind.actions)}"
            (here.key(traffic) if traffic else here).report(placed.place, problem, cure)
    return len(at.issues) == before


def _check_traffic(traffic: tuple[TrafficKind, ...], newest: Values, at: At) -> None:
    if TrafficKind.RELAYED in traffic and len(set(traffic)) > 1:
        problem = "relayed traffic belongs to no customer and has limits of its own"
        cure = "write traffic: [relayed] here, and a second limit for the rest"
        at.key(TRAFFIC.name).report(newest.place_of(TRAFFIC), problem, cure)


def _check_over(traffic: tuple[TrafficKind, ...], over: OverByTraffic, newest: Values, at: At) -> None:
    written = newest.get(OVER, {})
    here = at.key(OVER.name)
    for kind, placed in written.items():
        if kind is not None and kind not in traffic:
            here.key(kind).report(
                placed.place, f"the limit does not look at {kind} traffic", f"remove it, or add {kind} to traffic"
            )
    reported: set[Place] = set()
    for kind in (kind for kind in TrafficKind if kind in traffic):
        action = over.get(kind) or over.get(None)
        why = _FORBIDDEN.get((kind, action.value)) if action else None
        if action is not None and why is not None and action.place not in reported:
            reported.add(action.place)
            _report_over(
                kind, f"{action.value} reaches {kind} traffic: {why}", _repaired(traffic, action.value), newest, at
            )


def _report_over(kind: TrafficKind, problem: str, repaired: str, newest: Values, at: At) -> None:
    """Report a forbidden action where this layer made it so: at ``over``, else at ``traffic``."""
    written = newest.get(OVER, {})
    here = at.key(OVER.name)
    if kind in written:
        here.key(kind).report(written[kind].place, problem, f"write {kind}: defer")
    elif None in written:
        here.report(written[None].place, problem, f"write over: {repaired}")
    else:
        at.key(TRAFFIC.name).report(newest.place_of(TRAFFIC), f"over: {problem}", f"write over: {repaired} too")


def _repaired(traffic: tuple[TrafficKind, ...], action: Action) -> str:
    """Return the map to write in place of one action that is not for all of the traffic."""
    kinds = (kind for kind in TrafficKind if kind in traffic)
    return "{" + ", ".join(f"{kind}: {_allowed(kind, action)}" for kind in kinds) + "}"


def _allowed(kind: TrafficKind, action: Action) -> Action:
    return action if (kind, action) not in _FORBIDDEN else DEFAULT_OVER[kind]


def _check_schedule(newest: Values, schedules: Schedules, at: At) -> None:
    lifted_by = newest.get(LIFTED_BY, "")
    if lifted_by and schedules is not None and lifted_by not in schedules:
        cure = did_you_mean(lifted_by, schedules)
        at.key(LIFTED_BY.name).report(newest.place_of(LIFTED_BY), f"no schedule is named {lifted_by}", cure)
