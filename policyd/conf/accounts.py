"""The section ``accounts``: who the customers are, from the file itself and all that it names."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_interface, ip_network

from policyd.address import normalise_domain
from policyd.conf import hosted, include, postfix
from policyd.conf.domains import DOMAIN_CURE, DOMAIN_NAME, DOMAINS, Domain, domains, full_domain
from policyd.conf.issues import At, Place, did_you_mean, either, shown
from policyd.conf.limits import PLAN_NAME
from policyd.conf.plans import Rules, in_force
from policyd.conf.schema import Accounts, Limit, Network, RateLimit, SizeLimit
from policyd.conf.structures import Key, ListOf, MapOf, Pair, Values, table
from policyd.conf.values import Placed, Spot, Unfit, Value, or_null, text, word
from policyd.model import Counts

DEFAULT_PLAN = "default"
"""The plan of a domain that names none, when ``default_plan`` is absent."""

_LOCAL_CLIENTS = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


class Moment(StrEnum):
    """When something is charged for good."""

    RECIPIENT = "recipient"
    END_OF_MESSAGE = "end-of-message"


def network(written: str) -> Network | Unfit:
    """Return the network of a CIDR, or of a single address."""
    try:
        return ip_network(written)
    except ValueError:
        pass
    try:
        return Unfit(f"{written} has bits beyond its prefix", f"write {ip_interface(written).network}")
    except ValueError:
        return Unfit(f'"{shown(written)}" is no network', "write 192.0.2.0/24, 2001:db8::/32 or an address")


def _delimiter(written: str) -> str | Unfit:
    if len(written) <= 1 and written != "@":
        return written
    return Unfit(f'"{shown(written)}" is no delimiter', 'write one character such as "+", or "" for none')


def _domain(written: str) -> str | Unfit:
    return full_domain(written) or Unfit(f'"{shown(written)}" is no domain name', DOMAIN_CURE)


def _host(written: str) -> str | Unfit:
    return normalise_domain(written) or Unfit(f'"{shown(written)}" is no host name', "write host.example.net")


NETWORK: Value[Network] = Value(network, "a network", "127.0.0.0/8", {"type": "string"})
_TARGET = Value(_domain, "a domain name", "example.org", {"type": "string"})
HOST = Value(_host, "a host name", "host.example.net", {"type": "string"})
_CONTEXT = text("a policy_context", "submission", r"^\S+$")
_SOURCE = Value(
    hosted.source, "a source", '"file:/etc/policyd/domains.map"', {"type": "string", "pattern": "^(file|postfix):.+$"}
)
_USERS = Value(
    hosted.file_source,
    "a source",
    '"file:/etc/policyd/users.map"',
    {"type": "string", "pattern": "^file:.+$"},
    null=("", ""),
)
_MOMENT = word(Moment, "a moment", "recipient")

LOCAL_CLIENTS: Key[tuple[Network, ...]] = Key(
    "local_clients",
    ListOf(NETWORK, '[127.0.0.0/8, "::1/128"]'),
    "The networks whose unauthenticated mail is a customer's own.",
)
HOSTED = Key(
    "hosted",
    ListOf(Spot(_SOURCE), '["file:/etc/policyd/domains.map"]'),
    "Where more hosted domains are: file:PATH (lines of domain, or domain and plan) or postfix:PARAMETER.",
)
LOCAL_USERS = Key("local_users", Spot(_USERS), "file:PATH with lines of a Unix user and the domain of his account.")
LOCAL_NAMES = Key(
    "local_names",
    ListOf(HOST, "[host.example.net]"),
    "This host's own names; by default its host name and what Postfix has as myhostname and myorigin.",
)
_TARGET_OR_NONE: Value[str] = or_null(_TARGET, "")
DEFAULT_DOMAIN = Key(
    "default_domain", Spot(_TARGET_OR_NONE), "The account of a login without a domain, when local_users has none."
)
DEFAULT_PLAN_KEY = Key(
    "default_plan", Spot(PLAN_NAME), f"The plan of a domain that names none (default: {DEFAULT_PLAN})."
)
DELIMITER = Key(
    "delimiter",
    Value(_delimiter, "a delimiter", '"+"', {"type": "string", "maxLength": 1}),
    'What begins the extension of a local part, as recipient_delimiter in Postfix ("+").',
)
VERIFIED_CONTEXTS = Key(
    "verified_contexts",
    ListOf(_CONTEXT, "[local-login]"),
    "policy_contexts of entries behind local_login_sender_maps, where a local sender is verified.",
)
CHARGE_AT = Key("charge_at", _MOMENT, "When a recipient is charged: recipient (the default) or end-of-message.")
SETTLE = Key(
    "settle",
    _MOMENT,
    "recipient: a charge is final at RCPT (the default); end-of-message: what was never sent is given back.",
)
ALIASES = Key(
    "aliases",
    MapOf(DOMAIN_NAME, Spot(_TARGET), "{news.example.org: example.org}"),
    "Domains that are charged to another hosted domain.",
)
DOMAINS_KEY = Key(
    "domains",
    DOMAINS,
    "Hosted domains: each with its plan, nothing, or a map of plan, contact, apply, change and without.",
)
INCLUDE = Key(
    "include",
    ListOf(Spot(text("a pattern of files", '"domains.d/*.yaml"')), '["domains.d/*.yaml"]'),
    "Files with a domains map; one that is bad keeps its last good text.",
)

ACCOUNTS = table(
    LOCAL_CLIENTS, HOSTED, LOCAL_USERS, LOCAL_NAMES, DEFAULT_DOMAIN, DEFAULT_PLAN_KEY, DELIMITER, VERIFIED_CONTEXTS,
    CHARGE_AT, SETTLE, ALIASES, DOMAINS_KEY, INCLUDE,
    example="{default_plan: shared, domains: {example.org: shared}}",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Read:
    """The accounts, the files that they were read from (``maps`` among them), what became of the included ones."""

    accounts: Accounts
    files: list[str]
    maps: list[str]
    included: include.Included


def accounts(config: str, values: Values, rules: Rules, copies: include.Copies, at: At) -> Read:
    """Return the accounts of the configuration file at the path ``config``."""
    default_plan = _default_plan(values, rules, at)
    own = domains(values.get(DOMAINS_KEY, ()), default_plan, rules, at.key("domains"))
    included = include.Reader(config, default_plan, rules, copies).read(values.get(INCLUDE, ()), own, at.key("include"))
    listed = own | included.domains
    mapped = hosted.hosted(config, values.get(HOSTED, ()), rules, at.key("hosted"))
    plans = {name: plan or default_plan for name, plan in mapped.plans.items()} | {
        name: domain.plan for name, domain in listed.items()
    }
    judged = not {DOMAINS_KEY.name, HOSTED.name, INCLUDE.name} & values.flawed and not included.left_out
    aliases = _aliases(values.get(ALIASES, ()), plans, listed, at.key("aliases"), judged=judged)
    users = _local_users(config, values, mapped.files, at)
    own_terms = [domain.terms.limits for domain in listed.values() if domain.terms is not None]
    _check_moment(values, [*(in_force(drafts or {}) for drafts in (rules.plans or {}).values()), *own_terms], at)
    made = Accounts(
        local_clients=values.get(LOCAL_CLIENTS, _LOCAL_CLIENTS),
        plans=plans,
        changed={name: domain.terms for name, domain in listed.items() if domain.terms is not None},
        contacts={name: domain.contact for name, domain in listed.items() if domain.contact},
        aliases=aliases,
        local_users={user: aliases.get(domain, domain) for user, domain in users.items()},
        default_domain=_default_domain(values, plans, aliases, at, judged=judged),
        local_names=_local_names(values, at),
        default_plan=default_plan,
        delimiter=values.get(DELIMITER, "+"),
        verified_contexts=frozenset(values.get(VERIFIED_CONTEXTS, ())),
        charge_at_end=values.get(CHARGE_AT, Moment.RECIPIENT) is Moment.END_OF_MESSAGE,
        settle_at_end=values.get(SETTLE, Moment.RECIPIENT) is Moment.END_OF_MESSAGE,
        origins=mapped.origins | {name: str(domain.place) for name, domain in listed.items()},
    )
    return Read(made, [*included.files, *mapped.files], mapped.files, included)


def _check_moment(values: Values, terms: Iterable[tuple[Limit, ...]], at: At) -> None:
    """Report limits that would never be asked: at the end of a message nobody says who its recipients are."""
    if values.get(CHARGE_AT, Moment.RECIPIENT) is not Moment.END_OF_MESSAGE:
        return
    limits = (limit for limits in terms for limit in limits if _counts_members(limit))
    names = ", ".join(dict.fromkeys(limit.name for limit in limits))
    if names:
        problem = f"who the recipients are is told only as they are accepted, and these limits count them: {names}"
        cure = "write charge_at: recipient, or remove them from apply"
        at.key(CHARGE_AT.name).report(values.place_of(CHARGE_AT), problem, cure)


def _counts_members(limit: Limit) -> bool:
    return isinstance(limit, SizeLimit) or (isinstance(limit, RateLimit) and limit.counts is Counts.DISTINCT)


def _default_plan(values: Values, rules: Rules, at: At) -> str:
    written = values.maybe(DEFAULT_PLAN_KEY)
    if written is not None:
        rules.check_plan(written.value, written.place, at.key("default_plan"))
        return written.value
    if rules.plans and DEFAULT_PLAN not in rules.plans and DEFAULT_PLAN_KEY.name not in values.flawed:
        cure = f"write default_plan: {next(iter(rules.plans))} below accounts"
        at.key("default_plan").report(values.place, f"it is absent, and no plan is named {DEFAULT_PLAN}", cure)
    return DEFAULT_PLAN


def _default_domain(
    values: Values, plans: Mapping[str, str], aliases: Mapping[str, str], at: At, *, judged: bool
) -> str:
    written = values.maybe(DEFAULT_DOMAIN)
    if written is None or not written.value:
        return ""
    domain = aliases.get(written.value, written.value)
    if judged and domain not in plans:
        _report_unhosted(written.value, written.place, plans, at.key("default_domain"))
    return domain


def _aliases(
    pairs: tuple[Pair[Placed[str]], ...],
    plans: Mapping[str, str],
    listed: Mapping[str, Domain],
    at: At,
    *,
    judged: bool,
) -> dict[str, str]:
    """Return the aliases. One that a map file lists as hosted too is fine: panels do so."""
    names = {full_domain(pair.name) for pair in pairs} - listed.keys()
    found: dict[str, str] = {}
    for pair in pairs:
        name, here = full_domain(pair.name), at.key(pair.name)
        if pair.value is None:
            continue
        target, place = pair.value
        if name in found:
            here.report(pair.place, f"{name} is an alias of {found[name]} already", "remove one of the two")
        elif name in listed:
            here.report(
                pair.place, f"{name} is listed as a domain of its own in {listed[name].place}", "remove one of the two"
            )
        elif target in names:
            here.report(place, f"{target} is an alias itself", "name the hosted domain that is charged")
        elif judged and target not in plans:
            _report_unhosted(target, place, plans, here)
        found.setdefault(name, target)
    return found


def _report_unhosted(domain: str, place: Place, plans: Mapping[str, str], at: At) -> None:
    cure = either(did_you_mean(domain, plans), "list it in accounts.domains")
    at.report(place, f"{domain} is not hosted here", cure)


def _local_users(config: str, values: Values, files: list[str], at: At) -> dict[str, str]:
    written = values.maybe(LOCAL_USERS)
    return hosted.local_users(config, written, files, at.key("local_users")) if written and written.value[1] else {}


def _local_names(values: Values, at: At) -> frozenset[str]:
    """Return this host's names; the host is asked only for a file without mistakes."""
    if LOCAL_NAMES.name in values.names() or at.issues:
        return frozenset(values.get(LOCAL_NAMES, ()))
    return postfix.local_names()
