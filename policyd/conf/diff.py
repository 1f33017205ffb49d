"""What changed between two configurations: limit by limit, plan by plan, domain by domain.

A change is told where it was written: a field that a plan takes over from its limit is the limit's
change and not told again for the plan.
"""

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import fields as fields_of
from enum import Enum

from policyd.conf import rendering, units
from policyd.conf.issues import joined
from policyd.conf.listed import KnownList, Lists
from policyd.conf.notice import NotifySettings
from policyd.conf.schema import Accounts, Config, DnsSettings, Limit, Schedule, Terms
from policyd.conf.software import MailmanSettings
from policyd.plural import plural

MOST_DOMAINS = 20
_MILLISECONDS = frozenset({"timeout", "policy_timeout", "every", "gives_up_after"})
_BY_DOMAIN = frozenset({"plans", "changed", "contacts", "origins"})
_MOMENTS = {"charge_at_end": "charge_at", "settle_at_end": "settle"}
_WRITTEN = {"sender": "from"}
_SETS = frozenset({"aliases", "local_users"})

Section = DnsSettings | MailmanSettings | NotifySettings


def changes(old: Config, new: Config) -> list[str]:
    """Return one line for each change, as ``limits.domain-hourly.max: 400 -> 500``; domains at most 20."""
    domains = list(_domains(old, new))
    hidden = len(domains) - MOST_DOMAINS
    return [
        *_field("mode", old.mode, new.mode),
        *_record("listen", old.listen, new.listen, " (needs a restart)"),
        *_record("store", old.store, new.store, " (needs a restart)"),
        *_record("exempt", old.exempt, new.exempt),
        *_lists(old.lists, new.lists),
        *_field("nodes", old.nodes, new.nodes),
        *_record("delay", old.delay, new.delay),
        *_field("log.accepted", old.log_accepted, new.log_accepted),
        *_section("dns", old.dns, new.dns),
        *_section("mailman", old.mailman, new.mailman),
        *_section("notify", old.notify, new.notify),
        *_named("schedules", _schedules(old.schedules), _schedules(new.schedules)),
        *_limits(old.limits, new.limits),
        *_plans(old.plans, new.plans),
        *_accounts(old.accounts, new.accounts),
        *domains[:MOST_DOMAINS],
        *([f"accounts.domains: {plural(hidden, 'more change')}"] if hidden > 0 else []),
    ]


def _field(path: str, old: object, new: object, suffix: str = "") -> Iterator[str]:
    if old != new:
        name = path.rpartition(".")[2]
        yield f"{path}: {_text(name, old)} -> {_text(name, new)}{suffix}"


def _record(path: str, old: object, new: object, suffix: str = "") -> Iterator[str]:
    for field in fields_of(old):  # type: ignore[arg-type]  # both are dataclasses of one type
        written = _WRITTEN.get(field.name, field.name)
        yield from _field(f"{path}.{written}", getattr(old, field.name), getattr(new, field.name), suffix)


def _named(path: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    for name in {**old, **new}:
        where = joined(path, name)
        if name not in new:
            yield f"{where}: removed"
        elif name not in old:
            yield f"{where}: added ({new[name]})"
        else:
            yield from _field(where, old[name], new[name])


def _lists(old: Lists, new: Lists) -> Iterator[str]:
    yield from _field("lists.contexts", old.contexts, new.contexts)
    yield from _field("lists.users", old.users, new.users)
    yield from _field("lists.patterns", old.patterns, new.patterns)
    yield from _named("lists.known", _known(old.known), _known(new.known))
    yield from _field("lists.mailing_over", old.mailing_over, new.mailing_over)
    yield from _field("lists.seen_slack", f"{old.seen_slack}%", f"{new.seen_slack}%")
    yield from _field("lists.outside_hours", old.outside_hours, new.outside_hours)
    yield from _field("lists.gives_up_after", old.gives_up_after, new.gives_up_after)


def _section(name: str, old: Section | None, new: Section | None) -> Iterator[str]:
    """Yield the changes of a section that may be absent."""
    if old is None or new is None:
        yield from _field(name, _presence(old), _presence(new))
    else:
        yield from _record(name, old, new)


def _presence(section: object) -> str:
    return "off" if section is None else "on"


def _known(known: Mapping[str, KnownList]) -> dict[str, str]:
    return {sender: rendering.known_list(one) for sender, one in known.items()}


def _schedules(schedules: Mapping[str, Schedule]) -> dict[str, str]:
    return {
        name: f"{schedule.timezone.key} {'; '.join(rendering.openings(schedule)) or 'never open'}"
        for name, schedule in schedules.items()
    }


def _limits(old: Mapping[str, Limit], new: Mapping[str, Limit]) -> Iterator[str]:
    for name in {**old, **new}:
        path = joined("limits", name)
        if name not in new:
            yield f"{path}: removed"
        elif name not in old:
            yield f"{path}: added ({rendering.summary(new[name])})"
        else:
            yield from _named_fields(path, old[name], new[name])


def _plans(old: Mapping[str, Terms], new: Mapping[str, Terms]) -> Iterator[str]:
    for name in {**old, **new}:
        path = joined("plans", name)
        if name not in new:
            yield f"{path}: removed"
        elif name not in old:
            yield f"{path}: added ({', '.join(limit.name for limit in new[name].limits) or 'no limits'})"
        else:
            yield from _terms(path, f"plan {name}", old[name], new[name])


def _terms(path: str, owner: str, old: Terms, new: Terms, chosen: Container[str] | None = None) -> Iterator[str]:
    """Yield what changed in a set of limits; with ``chosen``, only those of them that came or went."""
    before = {limit.name: limit for limit in old.limits}
    after = {limit.name: limit for limit in new.limits}
    for name in {**before, **after}:
        if name in before and name in after:
            yield from _named_fields(joined(path, name), before[name], after[name], owner)
        elif chosen is None or name in chosen:
            yield f"{path}: {name} {'added' if name in after else 'removed'}"


def _named_fields(path: str, old: Limit, new: Limit, owner: str = "") -> Iterator[str]:
    """Yield the fields that changed; with an owner only those that it wrote, before or now."""
    before, after = rendering.fields(old), rendering.fields(new)
    for name in {**before, **after}:
        was, now = before.get(name, "-"), after.get(name, "-")
        writers = (rendering.origin(old, name), rendering.origin(new, name))
        if was != now and (not owner or any(writer.startswith(f"{owner} (") for writer in writers)):
            yield f"{path}.{name}: {was} -> {now}"


def _accounts(old: Accounts, new: Accounts) -> Iterator[str]:
    for field in fields_of(old):
        path, before, after = f"accounts.{field.name}", getattr(old, field.name), getattr(new, field.name)
        if field.name in _SETS:
            yield from _count(path, before, after)
        elif field.name in _MOMENTS:
            moments = ("recipient", "end-of-message")
            yield from _field(f"accounts.{_MOMENTS[field.name]}", moments[before], moments[after])
        elif field.name not in _BY_DOMAIN:
            yield from _field(path, before, after)


def _count(path: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    """Yield one line for a map that may be long."""
    if old == new:
        return
    added = sum(name not in old for name in new)
    removed = sum(name not in new for name in old)
    changed = sum(old.get(name, value) != value for name, value in new.items())
    yield f"{path}: {added} added, {removed} removed, {changed} changed"


def _domains(old: Config, new: Config) -> Iterator[str]:
    before, after = old.accounts.plans, new.accounts.plans
    if before != after:
        yield from _moved(before, after)
    for name in {**old.accounts.changed, **new.accounts.changed}:
        if name in before and name in after:
            path = joined("accounts.domains", name)
            yield from _domain_terms(path, name, old, new)
    contacts = old.accounts.contacts, new.accounts.contacts
    for name in {**contacts[0], **contacts[1]}:
        if name in before and name in after:
            path = f"{joined('accounts.domains', name)}.contact"
            yield from _field(path, contacts[0].get(name, ""), contacts[1].get(name, ""))


def _moved(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    for name, plan in after.items():
        if before.get(name) != plan:
            was = before.get(name)
            yield f"{joined('accounts.domains', name)}: {f'{was} -> {plan}' if was else f'added ({plan})'}"
    yield from (f"{joined('accounts.domains', name)}: removed" for name in before if name not in after)


def _domain_terms(path: str, name: str, old: Config, new: Config) -> Iterator[str]:
    chosen = _chosen(old, name) | _chosen(new, name)
    return _terms(path, f"domain {name}", old.terms(name), new.terms(name), chosen)


def _chosen(config: Config, name: str) -> set[str]:
    """Return the limits that a domain adds to those of its plan, or removes."""
    plan = {limit.name for limit in config.plans[config.accounts.plans[name]].limits}
    return plan ^ {limit.name for limit in config.terms(name).limits}


def _text(name: str, value: object) -> str:
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and name in _MILLISECONDS:
        return units.duration_text(value)
    if isinstance(value, int) and name == "postfix_mode":
        return f"{value:04o}"
    if isinstance(value, tuple | frozenset):
        return _listed(value)
    return str(value) if value not in ("", None) else "-"


def _listed(values: Iterable[object]) -> str:
    items = [str(value) for value in values]
    return f"[{', '.join(sorted(items) if isinstance(values, frozenset) else items)}]"
