"""policyd.yaml -> Config, or every mistake that is in it."""

import time
from collections.abc import Iterable
from pathlib import Path

from policyd.conf import listen as static
from policyd.conf import sections
from policyd.conf.accounts import accounts
from policyd.conf.away import WhenDown
from policyd.conf.dns import dns
from policyd.conf.files import read_text
from policyd.conf.include import Copies
from policyd.conf.issues import At, Place
from policyd.conf.lists import lists
from policyd.conf.mailman import mailman
from policyd.conf.nodes import is_null, parse
from policyd.conf.notify import notify
from policyd.conf.plans import Rules, in_force, rules
from policyd.conf.schedules import schedules
from policyd.conf.schema import Config, Listen, StoreSettings, Terms
from policyd.conf.secrets import secret_files
from policyd.conf.strikes import spam_traps
from policyd.conf.structures import NOTHING, Values
from policyd.conf.terms import Elsewhere
from policyd.errors import ConfigError, Issue
from policyd.model import Mode

INCLUDES = "includes"
"""Where the last good texts of included files are, below the state directory."""


def load(path: str | Path, state_directory: str | None = None) -> Config:
    """Read a configuration file and all that it names.

    The last good texts of included files are read from and kept in ``state_directory`` (default:
    ``store.directory``), when it exists and belongs to the user that runs this.

    Raises:
        ConfigError: with all mistakes of all files, sorted by file and line.

    """
    config, issues = read(path, state_directory)
    if config is None or issues:
        raise ConfigError(issues)
    return config


def read(path: str | Path, state_directory: str | None = None) -> tuple[Config | None, list[Issue]]:
    """Return what can be read of a configuration file, for looking only while there are mistakes, and all of these."""
    issues: list[Issue] = []
    config = _config(str(path), state_directory, issues)
    return config, sorted(issues)


def _config(path: str, state_directory: str | None, issues: list[Issue]) -> Config | None:
    at, begun = At(issues), time.time_ns() // 1_000_000
    text = read_text(Path(path), path, at)
    root = parse(text, path, issues) if text is not None else None
    if root is not None and is_null(root):
        at.report(Place(path), "the file is empty", "begin with the shipped policyd.yaml")
        return None
    values = sections.ROOT.read(root, at) if root is not None else None
    if values is None:
        return None
    settings = static.store(values.get(sections.STORE_KEY, NOTHING), at.key("store"))
    copies = Copies(Path(state_directory or settings.directory) / INCLUDES)
    listen = static.listen(values.get(sections.LISTEN_KEY, NOTHING), at.key("listen"))
    mode, terms = values.get(sections.MODE, Mode.ENFORCE), _rules(values, listen, issues)
    named = accounts(path, values.get(sections.ACCOUNTS_KEY, _absent(values)), terms, copies, at.key("accounts"))
    watched, told = values.maybe(sections.DNS_KEY), values.maybe(sections.NOTIFY_KEY)
    software = values.maybe(sections.MAILMAN_KEY)
    config = Config(
        mode=mode,
        listen=listen,
        store=settings,
        accounts=named.accounts,
        exempt=sections.exempt(values.get(sections.EXEMPT_KEY, NOTHING)),
        lists=lists(values.get(sections.LISTS_KEY, NOTHING), at.key("lists")),
        schedules={
            name: schedule for name, schedule in (terms.elsewhere.schedules or {}).items() if schedule is not None
        },
        limits={name: draft.limit for name, draft in terms.limits.items() if draft is not None},
        plans={name: Terms(name, in_force(drafts or {})) for name, drafts in (terms.plans or {}).items()},
        relayed=terms.relayed(),
        failed_logins=terms.failed_logins(),
        delay=sections.delay(values.get(sections.DELAY_KEY, NOTHING)),
        spam_traps=spam_traps(values.get(sections.SPAM_TRAPS_KEY, NOTHING), named.accounts.delimiter, mode),
        log_accepted=values.get(sections.LOG_KEY, NOTHING).get(sections.ACCEPTED, False),
        files=_absolute([path, *named.files]),
        stale=tuple(named.included.stale),
        left_out=tuple(named.included.left_out),
        stale_issues=tuple(sorted(named.included.issues)),
        maps=_absolute(named.maps),
        dns=dns(watched, at.key("dns")) if watched is not None else None,
        mailman=mailman(software) if software is not None else None,
        notify=notify(told) if told is not None else None,
        read_at=begun,
        nodes=_nodes(values, settings, at),
        secrets=secret_files(values),
    )
    if not issues:
        copies.keep(named.included.good, set(named.included.stale))
    return config


def _nodes(values: Values, settings: StoreSettings, at: At) -> int:
    """Return how many daemons share the store; who counts without it must say so."""
    nodes, store = values.maybe(sections.NODES), values.get(sections.STORE_KEY, NOTHING)
    embedded = settings.url == "embedded"
    if static.URL.name in store.flawed:
        return nodes or 1
    if nodes is None and settings.when_down is WhenDown.LOCAL and not embedded:
        if sections.NODES.name not in values.flawed:
            place, problem = store.place_of(static.WHEN_DOWN), "local needs to know how many daemons share the store"
            at.key("store").key("when_down").report(place, problem, "write nodes: 1 at the top, or their number")
    elif nodes is not None and nodes > 1 and embedded:
        problem = "an embedded store has one daemon"
        at.key("nodes").report(values.place_of(sections.NODES), problem, "remove it, or write the store.url of a Redis")
    return nodes or 1


def _absolute(files: Iterable[str]) -> tuple[str, ...]:
    return tuple(str(Path(file).absolute()) for file in dict.fromkeys(files))


def _rules(values: Values, listen: Listen, issues: list[Issue]) -> Rules:
    written = values.maybe(sections.SCHEDULES_KEY)
    unread = written is None and sections.SCHEDULES_KEY.name in values.flawed
    named = None if unread else schedules(written or ())
    timeout = None if sections.LISTEN_KEY.name in values.flawed else listen.policy_timeout
    elsewhere = Elsewhere(named, timeout)
    return rules(values.maybe(sections.LIMITS_KEY), values.maybe(sections.PLANS_KEY), elsewhere, issues)


def _absent(values: Values) -> Values:
    """Return a section that was not written, placed where it would be: in the file."""
    return Values({}, values.place)
