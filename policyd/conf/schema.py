"""The typed, frozen Config: what one policyd.yaml means after all of it was checked.

Durations are integers in milliseconds, sizes are bytes, networks are ``ipaddress`` networks,
domains are A-labels. A request is decided by one Config from start to end; a reload swaps the
whole object. It pickles, since it is parsed in a child process.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from ipaddress import IPv4Network, IPv6Network
from zoneinfo import ZoneInfo

from policyd.conf.away import WhenDown
from policyd.conf.bounds import DelayBounds
from policyd.conf.listed import Lists
from policyd.conf.notice import NotifySettings
from policyd.conf.penalty import SpamTraps, Strikes
from policyd.conf.secret_file import SecretFile
from policyd.conf.software import MailmanSettings
from policyd.errors import Issue
from policyd.model import Action, Counts, Family, MailProtocol, Mode, Per, Recipients, TrafficKind

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a listener listens: a unix socket (``path``) or TCP (``host``, ``port``)."""

    path: str = ""
    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Listen:
    """The listeners (static: a change needs a restart).

    ``policy_timeout`` is the ``timeout=`` of the check_policy_service entries, in ms: policyd
    waits twice that long before it takes a closed connection for an abandoned message.
    """

    postfix: tuple[Endpoint, ...] = ()
    postfix_mode: int = 0o660
    postfix_group: str = "postfix"
    trust_tcp: bool = False
    policy_timeout: int = 100_000
    max_connections: int = 4096
    metrics: Endpoint | None = None
    admin: Endpoint | None = None
    dovecot: Endpoint | None = None
    dovecot_key_file: str = ""
    metrics_token_file: str = ""


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """How the counters are reached (static: a change needs a restart).

    ``url`` is "embedded" or a URL (conf/store_url.py); ``directory`` is the state
    directory; ``timeout`` is in ms.
    """

    url: str = "embedded"
    password_file: str = ""
    sentinel_password_file: str = ""
    directory: str = "/var/lib/policyd"
    timeout: int = 250
    when_down: WhenDown = WhenDown.ACCEPT


@dataclass(frozen=True, slots=True)
class Schedule:
    """Named hours of the week in a named time zone, with exceptions by date.

    ``week`` has one tuple for each weekday from Monday, of half-open intervals in minutes of the
    local day on which they begin; one that goes over midnight ends past 1440. ``dates`` replaces
    on that date what begins then, and what goes on from the day before.
    """

    name: str
    timezone: ZoneInfo
    week: tuple[tuple[tuple[int, int], ...], ...]
    dates: Mapping[date, tuple[tuple[int, int], ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What limits of all kinds have in common.

    ``over`` has an action for every kind in ``traffic``. ``lifted_by`` names a schedule, "" for none.
    ``strikes`` None: refusals suspend nobody.
    ``origins`` names, for each field that was written, where its value comes from, as
    ``limit domain-hourly (policyd.yaml:41:3)``; a field that is not in it has its default.
    """

    name: str
    per: Per = Per.DOMAIN
    over: Mapping[TrafficKind, Action] = field(default_factory=dict)
    traffic: frozenset[TrafficKind] = frozenset({TrafficKind.USER, TrafficKind.SCRIPT, TrafficKind.LIST})
    mode: Mode = Mode.ENFORCE
    lifted_by: str = ""
    strikes: Strikes | None = None
    origins: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit(Limit):
    """At most ``max`` of ``counts`` in any ``window`` (ms), for each subject of ``per``.

    ``max`` None is unlimited. A limit that counts logins looks at those of ``protocols``, at all
    when it is empty; its first refusal locks for ``lock`` ms, and ``tell`` has the client hear why.
    """

    max: int | None
    window: int
    counts: Counts = Counts.RECIPIENTS
    recipients: Recipients = Recipients.ALL
    protocols: frozenset[MailProtocol] = frozenset()
    lock: int = 0
    tell: bool = False


@dataclass(frozen=True, slots=True)
class Transport:
    """A transport of Postfix's master.cf, and the addresses of its next hop: each subject has one of its own.

    Postfix paces by destination (``<transport>_destination_rate_delay``).
    """

    name: str
    network: IPv4Network
    port: int

    def __str__(self) -> str:
        single = self.network.prefixlen == self.network.max_prefixlen
        return f"{self.name}:[{self.network.network_address if single else self.network}]:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PaceLimit(Limit):
    """At most one recipient in ``every`` (ms), for each subject of ``per``.

    ``transport`` keeps the pace, or answers that are delayed by at most ``delay_up_to`` ms.
    """

    every: int
    recipients: Recipients = Recipients.ALL
    delay_up_to: int = 0
    transport: Transport | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeLimit(Limit):
    """At most ``max`` (None: unlimited) addresses on a list or family; the largest size seen counts ``remember`` ms."""

    max: int | None
    remember: int = 7 * 86_400_000
    family: Family = Family.STEM
    unconfirmed: bool = False


@dataclass(frozen=True, slots=True)
class Terms:
    """What is in force for an account: the plan's name and its limits, in the order of ``apply``."""

    plan: str
    limits: tuple[Limit, ...]

    @property
    def rates(self) -> tuple[RateLimit, ...]:
        """The limits of kind rate."""
        return tuple(limit for limit in self.limits if isinstance(limit, RateLimit))


@dataclass(frozen=True, slots=True)
class Accounts:
    """Who the customers are.

    ``plans`` maps every hosted domain to the name of its plan; ``changed`` has the terms of the
    domains that differ from their plan. ``aliases`` and ``local_users`` lead to accounts.
    ``local_names`` are this host's own names (myhostname, myorigin). ``origins`` says for each
    domain where it was listed: ``file:line:column``, or the source in ``hosted``.
    """

    local_clients: tuple[Network, ...]
    plans: Mapping[str, str]
    changed: Mapping[str, Terms]
    contacts: Mapping[str, str]
    aliases: Mapping[str, str]
    local_users: Mapping[str, str]
    local_names: frozenset[str]
    default_domain: str
    default_plan: str
    delimiter: str
    verified_contexts: frozenset[str]
    charge_at_end: bool
    settle_at_end: bool
    origins: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Exempt:
    """What no limit looks at: shell patterns of addresses and logins, networks of clients."""

    recipients: tuple[str, ...] = ()
    logins: tuple[str, ...] = ()
    clients: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True)
class DnsSettings:
    """What hosted domains should say in the DNS.

    ``mx`` are our mail servers, ``senders`` the addresses that our mail leaves from, ``spf`` is the
    name for customers to include, ``dnsbl`` are the blocklists to look at, ``every`` is in ms.
    ``resolver`` has the name servers to ask; those of the system when it is empty.
    """

    mx: tuple[str, ...] = ()
    senders: tuple[Network, ...] = ()
    spf: str = ""
    dnsbl: tuple[str, ...] = ()
    every: int = 6 * 3_600_000
    resolver: tuple[Endpoint, ...] = ()


@dataclass(frozen=True, slots=True)
class Config:
    """One configuration, whole and checked.

    ``relayed`` are the limits that look at relayed traffic, which has no plan; ``failed_logins``
    those that count them, which belong to no account. ``dns`` is None where nothing is
    watched, ``mailman`` where no roster is read, ``notify`` where nobody is told. ``files`` are all
    files that it was read from, as absolute paths. ``stale`` are the included files that are bad now:
    their last good text is in force, but for those in ``left_out``, which have none. ``stale_issues``
    says what is wrong with them. ``maps`` are those of ``files`` that other programs write, of hosted
    domains and local users. ``read_at`` is when reading began, ms. ``nodes`` daemons share the limits.
    ``secrets`` are the files of passwords and keys, which nobody has read yet.
    """

    mode: Mode
    listen: Listen
    store: StoreSettings
    accounts: Accounts
    exempt: Exempt
    lists: Lists
    schedules: Mapping[str, Schedule]
    limits: Mapping[str, Limit]
    plans: Mapping[str, Terms]
    relayed: Terms
    failed_logins: Terms
    log_accepted: bool
    files: tuple[str, ...]
    spam_traps: SpamTraps = field(default_factory=SpamTraps)
    stale: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    stale_issues: tuple[Issue, ...] = ()
    maps: tuple[str, ...] = ()
    dns: DnsSettings | None = None
    mailman: MailmanSettings | None = None
    notify: NotifySettings | None = None
    read_at: int = field(default=0, compare=False)
    delay: DelayBounds = field(default_factory=DelayBounds)
    nodes: int = 1
    secrets: tuple[SecretFile, ...] = ()

    def terms(self, account: str) -> Terms:
        """Return what is in force for an account: its own terms, else those of its plan.

        An account that is not hosted (a login without domain) has the default plan.
        """
        changed = self.accounts.changed.get(account)
        if changed is not None:
            return changed
        return self.plans[self.accounts.plans.get(account, self.accounts.default_plan)]
