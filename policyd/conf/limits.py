"""The keys of a limit, as they are written: in ``limits``, and below ``change`` of plans and domains."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import NamedTuple

from policyd.conf import strikes, units
from policyd.conf.issues import At, did_you_mean, shown
from policyd.conf.nodes import Node, Scalar, Table
from policyd.conf.schema import Transport
from policyd.conf.structures import Key, ListOf, MapOf, Record, Values, table
from policyd.conf.values import (
    Json,
    Placed,
    Spot,
    Unfit,
    Value,
    duration,
    flag,
    name,
    or_null,
    whole_number,
    word,
)
from policyd.model import Action, Counts, Family, MailProtocol, Mode, Per, Recipients, TrafficKind, Way

UNLIMITED = "unlimited"
LIMITED_TRAFFIC = (TrafficKind.USER, TrafficKind.SCRIPT, TrafficKind.LIST, TrafficKind.RELAYED)
"""The traffic that is charged, and so can be limited."""

OverByTraffic = Mapping[TrafficKind | None, Placed[Action]]
"""What is written below ``over``; None stands for all traffic of the limit."""

_HIGHEST_PORT = 65_535


class Amount(NamedTuple):
    """What ``max`` says. ``units`` None: unlimited. ``sized``: it was written with a unit of bytes."""

    units: int | None
    sized: bool


def _amount(written: str) -> Amount | Unfit:
    if written == UNLIMITED:
        return Amount(None, sized=False)
    octets = units.size(written)
    if octets is not None and octets <= units.LARGEST:
        return Amount(octets, sized=True)
    number = whole_number(written)
    if not isinstance(number, Unfit):
        return Amount(number, sized=False)
    if "no whole number" in number.problem and number.cure.startswith("write a"):
        return Unfit(
            f'"{shown(written)}" is no number and no size',
            "write a number such as 400, a size such as 500MB, or unlimited",
        )
    return number


def _action(written: str) -> Action | Unfit:
    known = {action.value: action for action in Action}
    if written in known:
        return known[written]
    return Unfit(f'"{shown(written)}" is no action', did_you_mean(written, known))


def _traffic(written: str) -> TrafficKind | Unfit:
    known = {kind.value: kind for kind in LIMITED_TRAFFIC}
    if written in known:
        return known[written]
    if written == TrafficKind.INBOUND:
        return Unfit("inbound traffic is charged to nobody, so no limit looks at it", "remove it")
    if written == TrafficKind.LOGIN:
        return Unfit("login traffic is what limits that count logins look at", "write counts: logins, and no traffic")
    return Unfit(f'"{shown(written)}" is no kind of traffic', did_you_mean(written, known))


_TRANSPORT_PATTERN = r"^[a-z0-9][a-z0-9_-]*:\[[0-9.]+(/[0-9]+)?\]:[0-9]{1,5}$"
_TRANSPORT = re.compile(r"([a-z0-9][a-z0-9_-]*):\[([0-9.]+(?:/[0-9]+)?)\]:([0-9]{1,5})\Z", re.ASCII)


def _transport(written: str) -> Transport | Unfit:
    match = _TRANSPORT.match(written)
    try:
        network = IPv4Network(match[2]) if match else None
    except ValueError as error:
        return Unfit(f'"{shown(written)}" names no network: {error}', "write slow:[127.0.2.0/24]:2526")
    if match is None or network is None or not 0 < int(match[3]) <= _HIGHEST_PORT:
        return Unfit(f'"{shown(written)}" is no transport', "write slow:[127.0.2.0/24]:2526")
    if not network.is_loopback:
        return Unfit(f"{network} is not on this host", "write a network of 127.0.0.0/8, such as 127.0.2.0/24")
    return Transport(match[1], network, int(match[3]))


_ACTION = Value(_action, "an action", "defer", {"enum": [action.value for action in Action]})
_TRAFFIC = Value(_traffic, "a kind of traffic", "user", {"enum": [kind.value for kind in LIMITED_TRAFFIC]})


@dataclass(frozen=True, slots=True)
class _Over:
    """One action for all traffic of the limit, or a map from traffic to action."""

    example: str = "{user: reject, script: defer, list: defer}"

    def read(self, node: Node, at: At) -> OverByTraffic | None:
        if not isinstance(node, Table):
            spot = Spot(_ACTION).read(node, at)
            return None if spot is None else {None: spot}
        over: dict[TrafficKind | None, Placed[Action]] = {}
        for key, value in node.entries:
            here = at.key(key.text)
            kind = _TRAFFIC.read(Scalar(key.text, key.place, plain=False), here)
            spot = Spot(_ACTION).read(value, here)
            if kind is not None and spot is not None:
                over[kind] = spot
        return over

    def schema(self) -> Json:
        by_traffic = {kind.value: _ACTION.schema() for kind in LIMITED_TRAFFIC}
        return {
            "anyOf": [_ACTION.schema(), {"type": "object", "properties": by_traffic, "additionalProperties": False}]
        }


LIMIT_NAME = name("the name of a limit", "domain-hourly")
PLAN_NAME = name("the name of a plan", "shared")
SCHEDULE_NAME = name("the name of a schedule", "off-peak")


def _kind(kind: str) -> Key[str]:
    return Key(
        "kind",
        Value(lambda written: written, "a kind of limit", kind, {"const": kind}),
        f"The kind of the limit: {kind}.",
        required=True,
    )


KIND = _kind("rate")
COUNTS = Key(
    "counts",
    word(Counts, "something that a rate limit counts", "recipients"),
    "What is counted: recipients (the default), distinct-recipients, messages, bytes, logins or failed-logins.",
)
PER = Key(
    "per",
    word(Per, "something to count for", "domain"),
    "What is counted for: domain (the default), user, sender, client or list, each within its account; of logins: "
    "mailbox (the default), client or domain; of failed-logins: client, whoever is attacked. Of a size: list (the "
    "default) or list-family.",
)
MAX = Key(
    "max",
    Value(_amount, "a number, a size or unlimited", "400", {"anyOf": [
        {"type": "integer", "minimum": 0, "maximum": units.LARGEST},
        {"type": "string", "pattern": units.SIZE_PATTERN},
        {"const": UNLIMITED},
    ]}),
    "How much is let through in any window: a number, a size where bytes are counted, or unlimited. Of a size: how "
    "many addresses a list may have.",
    required=True,
)  # fmt: skip
WINDOW = Key(
    "window",
    duration("1h", units.SECOND, 31 * units.DAY),
    "The length of the sliding window, 1s to 31d.",
    required=True,
)
OVER = Key(
    "over",
    _Over(),
    "What happens over the limit: accept, defer, reject or quarantine; one for all traffic, or by traffic. "
    "Of a pace: delay (the default), defer or accept.",
)
TRAFFIC = Key(
    "traffic",
    ListOf(_TRAFFIC, "[user, script, list]", at_least=1),
    "The traffic that the limit looks at: user, script and list by default, list with per: list; relayed stands alone.",
)
RECIPIENTS = Key(
    "recipients", word(Recipients, "a choice of recipients", "all"), "all, or remote: those that are not hosted here."
)
MODE = Key("mode", word(Mode, "a mode", "enforce"), "observe evaluates, counts and logs, and refuses nothing.")
_SCHEDULE_OR_NONE: Value[str] = or_null(SCHEDULE_NAME, "")
LIFTED_BY = Key("lifted_by", _SCHEDULE_OR_NONE, "The schedule that switches the limit off while it is open.")
PROTOCOLS = Key(
    "protocols",
    ListOf(word(MailProtocol, "a protocol", "pop3"), "[pop3]", at_least=1),
    "Whose logins are counted: pop3, imap, smtp (Postfix that asks Dovecot), submission, sieve. "
    "Needed with counts: logins; all by default with failed-logins.",
)
_DURATION_OR_NONE: Value[int] = or_null(duration("1h", units.SECOND, 31 * units.DAY), 0)
LOCK = Key(
    "lock",
    _DURATION_OR_NONE,
    "How long logins are refused from the first refusal on, however often they are tried; without it, until one fits.",
)
STRIKES = Key("strikes", strikes.STRIKES, "When refusals suspend whom the limit counts for; without it, never.")
TELL = Key("tell", flag(), "Whether the mail program hears why; false (the default): as if the password were wrong.")

EVERY = Key(
    "every", duration("6s", 1, units.HOUR), "How long one slot is: one recipient passes in each.", required=True
)
BY = Key(
    "by",
    word(Way, "a way to keep a pace", "answer"),
    "How the pace is kept: answer (each answer waits for its slot) or transport (Postfix delivers slowly).",
    required=True,
)
DELAY_UP_TO = Key(
    "delay_up_to",
    duration("20s", 1, units.HOUR),
    "How long an answer may wait, at most half of listen.policy_timeout; what would wait longer hears 450.",
)
TRANSPORT = Key(
    "transport",
    Value(_transport, "a transport", "slow:[127.0.2.0/24]:2526", {"type": "string", "pattern": _TRANSPORT_PATTERN}),
    "The transport in master.cf, and its next hop: each subject has an address of its own in the network.",
)

REMEMBER = Key(
    "remember", duration("7d", units.HOUR, 31 * units.DAY), "How long a list that was too large is taken for too large."
)
FAMILY = Key(
    "family",
    word(Family, "a choice of lists", "stem"),
    "Which lists are judged together: stem (news1, news2 and news-b; the default), or account (all).",
)

UNCONFIRMED = Key(
    "unconfirmed", flag(), "Whether the limit looks only at lists that let people in without their confirmation."
)

_EXAMPLE = "{kind: rate, max: 400, window: 1h}"

RATE = table(
    KIND, COUNTS, PER, MAX, WINDOW, OVER, TRAFFIC, RECIPIENTS, STRIKES, PROTOCOLS, LOCK, TELL, MODE, LIFTED_BY,
    example=_EXAMPLE,
)  # fmt: skip
"""A limit of kind rate."""

PACE = table(
    _kind("pace"), PER, EVERY, BY, DELAY_UP_TO, TRANSPORT, OVER, TRAFFIC, RECIPIENTS, STRIKES, MODE,
    LIFTED_BY,
    example="{kind: pace, per: list, every: 6s, by: answer, delay_up_to: 20s}",
)  # fmt: skip
"""A limit of kind pace."""

SIZE = table(
    _kind("size"), PER, MAX, REMEMBER, FAMILY, UNCONFIRMED, OVER, STRIKES, MODE, LIFTED_BY,
    example="{kind: size, per: list, max: 1000}",
)  # fmt: skip
"""A limit of kind size."""

KINDS = {"rate": RATE, "pace": PACE, "size": SIZE}
"""The keys of each kind of limit. A key that several kinds have is one object."""

_CHANGEABLE = {key.name: key for kind in KINDS.values() for key in kind.keys if key.name != KIND.name}

CHANGE = Record(
    tuple(Key(key.name, key.shape, key.doc) for key in _CHANGEABLE.values()),
    "{max: 800}",
    hints={"kind": "a limit keeps its kind; write a limit of another name"},
)
"""The fields of a limit, of any kind, that a plan or a domain can alter."""


@dataclass(frozen=True, slots=True)
class _Limit:
    """A limit of any kind. One of an unknown kind is a single mistake, whatever is in it."""

    example: str = _EXAMPLE

    def read(self, node: Node, at: At) -> Values | None:
        entries = node.entries if isinstance(node, Table) else ()
        written = next((value for key, value in entries if key.text == KIND.name), None)
        if not isinstance(written, Scalar):
            return RATE.read(node, at)
        if written.text in KINDS:
            return KINDS[written.text].read(node, at)
        problem = f'"{shown(written.text)}" is no kind of limit'
        at.key(KIND.name).report(written.place, problem, did_you_mean(written.text, KINDS))
        return None

    def schema(self) -> Json:
        return {"anyOf": [kind.schema() for kind in KINDS.values()]}


LIMITS = MapOf(LIMIT_NAME, _Limit(), "{domain-hourly: {kind: rate, max: 400, window: 1h}}")
