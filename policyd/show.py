"""What is in force for one domain, where each value comes from, and when its schedules open next."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from policyd.address import normalise_domain
from policyd.conf.listed import Lists
from policyd.conf.rendering import fields, known_list, openings, origin, summary
from policyd.conf.schedules import DAYS
from policyd.conf.schema import Config, Limit, Schedule, Terms
from policyd.conf.units import duration_text
from policyd.plural import plural
from policyd.policy.schedule import Opening
from policyd.policy.schedule import openings as next_openings

_NEXT = 3
"""Openings that are shown of a schedule."""


@dataclass(frozen=True, slots=True)
class ShownField:
    """One field of a limit: its value, and who wrote it (limit, plan or domain) or ``default``."""

    name: str
    value: str
    origin: str


@dataclass(frozen=True, slots=True)
class ShownOpening:
    """One opening, in the schedule's own zone with its offset; one that has ``begun`` starts at the moment of asking.

    ``end`` is empty when it never closes.
    """

    begun: bool
    start: str
    end: str


@dataclass(frozen=True, slots=True)
class ShownLimit:
    """One limit that is in force.

    ``lifted`` is when its schedule switches it off, now or next. ``raised`` says what it is raised
    to for a while, by whom and why.
    """

    name: str
    fields: tuple[ShownField, ...]
    lifted: ShownOpening | None
    raised: str = ""


@dataclass(frozen=True, slots=True)
class ShownSchedule:
    """One schedule that lifts a limit, with its openings as text, and the next of them."""

    name: str
    timezone: str
    openings: tuple[str, ...]
    next: tuple[ShownOpening, ...]


@dataclass(frozen=True, slots=True)
class ShownDomain:
    """What is in force for a domain. ``account`` is who is charged: the domain, after aliases.

    ``suspended`` says what of it is suspended, as far as a daemon was asked.

    ``listed`` says where the account is listed as hosted; it is empty when it is not hosted here.
    """

    domain: str
    account: str
    hosted: bool
    listed: str
    plan: str
    mode: str
    contact: str
    aliases: tuple[str, ...]
    limits: tuple[ShownLimit, ...]
    schedules: tuple[ShownSchedule, ...]
    suspended: tuple[str, ...] = ()


def show(config: Config, domain: str, now: int) -> ShownDomain:
    """Return what is in force for a domain, in any spelling, and what opens next after ``now`` (ms).

    One that is not hosted has the default plan.
    """
    accounts = config.accounts
    name = normalise_domain(domain) or domain
    account = accounts.aliases.get(name, name)
    terms = config.terms(account)
    lifting = {limit.lifted_by: None for limit in terms.limits if limit.lifted_by}
    return ShownDomain(
        domain=name,
        account=account,
        hosted=account in accounts.plans,
        listed=accounts.origins.get(account, ""),
        plan=terms.plan,
        mode=config.mode.value,
        contact=accounts.contacts.get(account, ""),
        aliases=tuple(sorted(alias for alias, target in accounts.aliases.items() if target == account)),
        limits=tuple(_limit(config, limit, now) for limit in terms.limits),
        schedules=tuple(_schedule(config.schedules[name], now) for name in lifting),
    )


def with_standing(shown: ShownDomain, suspended: Iterable[str], raises: Mapping[str, str]) -> ShownDomain:
    """Return what is shown with what a daemon says that stands for a while: suspensions, and raises by limit."""
    limits = tuple(replace(limit, raised=raises.get(limit.name, "")) for limit in shown.limits)
    return replace(shown, limits=limits, suspended=tuple(suspended))


def domain_lines(shown: ShownDomain) -> list[str]:
    """Return what is in force for a domain as lines of text."""
    lines = [shown.account if shown.domain == shown.account else f"{shown.domain}: charged to {shown.account}"]
    lines.append(f"  hosted    {shown.listed or 'no; a login of it has the default plan'}")
    lines.append(f"  plan      {shown.plan}")
    lines.append(f"  mode      {shown.mode}")
    lines += [f"  contact   {shown.contact}"] if shown.contact else []
    lines += [f"  aliases   {', '.join(shown.aliases)}"] if shown.aliases else []
    lines += [f"  {what}" for what in shown.suspended]
    for limit in shown.limits:
        lines += ["", f"limit {limit.name}", *_columns(limit.fields), *_lifted(limit)]
        lines += [f"  raised to {limit.raised}"] if limit.raised else []
    for schedule in shown.schedules:
        lines += ["", *_schedule_lines(schedule)]
    return lines


def overview_lines(config: Config, now: int) -> list[str]:
    """Return the whole configuration in short: what is listened on, the plans with their limits, the schedules."""
    listen, accounts = config.listen, config.accounts
    lines = [
        f"mode      {config.mode}",
        f"postfix   {', '.join(str(endpoint) for endpoint in listen.postfix)}",
        f"dovecot   {listen.dovecot or '-'}",
        f"metrics   {listen.metrics or '-'}",
        f"admin     {listen.admin or '-'}",
        f"store     {config.store.url}, when down: {config.store.when_down}",
        f"domains   {len(accounts.plans)} hosted, {plural(len(accounts.aliases), 'alias')}",
        f"default   plan {accounts.default_plan}",
    ]
    if config.mailman:
        every = duration_text(config.mailman.every)
        lines.append(f"mailman   {config.mailman.url} as {config.mailman.user}, every {every}")
    lines += [f"bad file  {file}" for file in config.stale]
    lines += _list_lines(config.lists)
    for terms in config.plans.values():
        lines += ["", f"plan {terms.plan}", *_summaries(terms)]
    if config.relayed.limits:
        lines += ["", "relayed traffic, without a plan", *_summaries(config.relayed)]
    if config.failed_logins.limits:
        lines += ["", "failed logins, without a plan", *_summaries(config.failed_logins)]
    for schedule in config.schedules.values():
        lines += ["", *_schedule_lines(_schedule(schedule, now))]
    return lines


def _list_lines(lists: Lists) -> list[str]:
    """Return how list software is known, beside the envelope senders that are built in."""
    parts = {"contexts": sorted(lists.contexts), "users": sorted(lists.users), "patterns": map(str, lists.patterns)}
    written = {name: ", ".join(values) for name, values in parts.items()}
    lines = [f"  {name:8}  {text}" for name, text in written.items() if text]
    lines += [f"  known     {sender}: {known_list(known)}" for sender, known in lists.known.items()]
    return ["", "list software", *lines] if lines else []


def _limit(config: Config, limit: Limit, now: int) -> ShownLimit:
    rows = tuple(ShownField(name, value, origin(limit, name)) for name, value in fields(limit).items())
    lifting = _next(config.schedules[limit.lifted_by], now, 1) if limit.lifted_by else ()
    return ShownLimit(limit.name, rows, lifting[0] if lifting else None)


def _schedule(schedule: Schedule, now: int) -> ShownSchedule:
    return ShownSchedule(schedule.name, schedule.timezone.key, tuple(openings(schedule)), _next(schedule, now, _NEXT))


def _next(schedule: Schedule, now: int, count: int) -> tuple[ShownOpening, ...]:
    return tuple(_opening(opening, schedule.timezone, now) for opening in next_openings(schedule, now, count))


def _opening(opening: Opening, zone: ZoneInfo, now: int) -> ShownOpening:
    start, end = (_moment(at, zone) if at is not None else "" for at in opening)
    return ShownOpening(opening.start == now, start, end)


def _moment(at: int, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(at // 1000, zone).isoformat()


def _columns(shown: Iterable[ShownField]) -> list[str]:
    rows = list(shown)
    names = max(len(row.name) for row in rows)
    values = max(len(row.value) for row in rows)
    return [f"  {row.name:{names}}  {row.value:{values}}  {row.origin}" for row in rows]


def _lifted(limit: ShownLimit) -> list[str]:
    return [f"  lifted {_opening_text(limit.lifted)}"] if limit.lifted else []


def _schedule_lines(schedule: ShownSchedule) -> list[str]:
    hours = schedule.openings or ("never open",)
    lines = [f"schedule {schedule.name} ({schedule.timezone})", *(f"  {opening}" for opening in hours)]
    return lines + [f"  open {_opening_text(opening)}" for opening in schedule.next]


def _opening_text(opening: ShownOpening) -> str:
    start = "now" if opening.begun else f"from {_with_day(opening.start)}"
    return f"{start} until {_with_day(opening.end)}" if opening.end else f"{start}, without an end"


def _with_day(moment: str) -> str:
    return f"{DAYS[datetime.fromisoformat(moment).weekday()]} {moment}"


def _summaries(terms: Terms) -> list[str]:
    return [
        f"  {limit.name}: {summary(limit)}"
        f"{f', lifted by {limit.lifted_by}' if limit.lifted_by else ''}"
        f"{', observed' if limit.mode.value == 'observe' else ''}"
        for limit in terms.limits
    ]
