"""Configurations for tests without a file: the values that the loader would make, with its defaults."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from typing import Any

from policyd.conf.bounds import DelayBounds
from policyd.conf.listed import Lists
from policyd.conf.schema import (
    Accounts,
    Config,
    Exempt,
    Limit,
    Listen,
    Network,
    PaceLimit,
    RateLimit,
    Schedule,
    SizeLimit,
    StoreSettings,
    Terms,
)
from policyd.conf.terms import DEFAULT_OVER
from policyd.model import Action, Counts, MailProtocol, Mode, Per, PolicyRequest, TrafficKind

HOUR = 3_600_000

LOCAL_CLIENTS = ("127.0.0.0/8", "::1/128")

_DEFAULT_TRAFFIC = frozenset({TrafficKind.USER, TrafficKind.SCRIPT, TrafficKind.LIST})


def networks(*texts: str) -> tuple[Network, ...]:
    """Return networks by their CIDR."""
    return tuple(ip_network(text) for text in texts)


def rate(name: str = "domain-hourly", max: int | None = 400, window: int = HOUR, **fields: Any) -> RateLimit:  # noqa: A002
    """Return a limit. ``over`` is one action, or a map that is laid over the defaults."""
    traffic = frozenset(fields.pop("traffic", _DEFAULT_TRAFFIC))
    over = fields.pop("over", {})
    written = dict.fromkeys(traffic, over) if isinstance(over, Action) else dict(over)
    actions = {kind: written.get(kind, DEFAULT_OVER[kind]) for kind in traffic}
    return RateLimit(name=name, max=max, window=window, over=actions, traffic=traffic, **fields)


def pace(name: str = "list-pace", every: int = 6000, delay_up_to: int = 30_000, **fields: Any) -> PaceLimit:
    """Return a pace for all traffic, per domain, unless fields say otherwise."""
    traffic = frozenset(fields.pop("traffic", _DEFAULT_TRAFFIC))
    over = dict.fromkeys(traffic, fields.pop("over", Action.DELAY))
    return PaceLimit(name=name, every=every, delay_up_to=delay_up_to, traffic=traffic, over=over, **fields)


def size(name: str = "list-size", max: int | None = 1000, per: Per = Per.LIST, **fields: Any) -> SizeLimit:  # noqa: A002
    """Return a limit of the size of a list."""
    over = {TrafficKind.LIST: fields.pop("over", Action.DEFER)}
    return SizeLimit(name=name, max=max, per=per, traffic=frozenset(over), over=over, **fields)


MAILMAN = Lists(contexts=frozenset({"mailman"}))


def logins(name: str = "pop-checks", max: int | None = 60, **fields: Any) -> RateLimit:  # noqa: A002
    """Return a limit of POP3 logins as the shipped one is, with some fields of the test's own."""
    shipped = {"counts": Counts.LOGINS, "per": Per.MAILBOX, "protocols": frozenset({MailProtocol.POP3}), "lock": HOUR}
    return rate(name, max, traffic=[TrafficKind.LOGIN], **{**shipped, **fields})


def _is_planless(limit: Limit) -> bool:
    return TrafficKind.RELAYED in limit.traffic or _counts_failed(limit)


def _counts_failed(limit: Limit) -> bool:
    return isinstance(limit, RateLimit) and limit.counts is Counts.FAILED_LOGINS


UNLISTED_HOURLY = rate("unlisted-hourly", 2000, traffic=[TrafficKind.RELAYED])


@dataclass(frozen=True)
class Site:
    """What a test says of a configuration; ``config`` makes it.

    ``limits`` are those of the plan ``shared``, and those that look at relayed traffic. ``domains``
    are the hosted ones, ``changed`` has terms of their own.
    """

    limits: tuple[Limit, ...] = (rate(),)
    domains: Iterable[str] = ("example.org", "example.net")
    plans: Mapping[str, str] = field(default_factory=dict)
    terms: Mapping[str, tuple[Limit, ...]] = field(default_factory=dict)
    changed: Mapping[str, tuple[Limit, ...]] = field(default_factory=dict)
    schedules: tuple[Schedule, ...] = ()
    exempt: Exempt = field(default_factory=Exempt)
    lists: Lists = field(default_factory=Lists)
    mode: Mode = Mode.ENFORCE
    listen: Listen = field(default_factory=Listen)
    store: StoreSettings = field(default_factory=StoreSettings)
    accounts: Mapping[str, Any] = field(default_factory=dict)
    delay: DelayBounds = field(default_factory=DelayBounds)

    def config(self) -> Config:
        """Return the Config."""
        own = tuple(limit for limit in self.limits if not _is_planless(limit))
        plans = {"shared": Terms("shared", own)}
        plans |= {name: Terms(name, limits) for name, limits in self.terms.items()}
        return Config(
            mode=self.mode,
            listen=self.listen,
            store=self.store,
            accounts=self._accounts(),
            exempt=self.exempt,
            lists=self.lists,
            schedules={schedule.name: schedule for schedule in self.schedules},
            limits={limit.name: limit for limit in self.limits},
            plans=plans,
            relayed=Terms("", tuple(limit for limit in self.limits if TrafficKind.RELAYED in limit.traffic)),
            failed_logins=Terms("", tuple(limit for limit in self.limits if _counts_failed(limit))),
            log_accepted=False,
            files=(),
            delay=self.delay,
        )

    def _accounts(self) -> Accounts:
        plain = Accounts(
            local_clients=networks(*LOCAL_CLIENTS),
            plans=dict.fromkeys(self.domains, "shared") | dict(self.plans),
            changed={name: Terms("shared", limits) for name, limits in self.changed.items()},
            contacts={},
            aliases={},
            local_users={},
            local_names=frozenset(),
            default_domain="",
            default_plan="shared",
            delimiter="+",
            verified_contexts=frozenset(),
            charge_at_end=False,
            settle_at_end=True,
        )
        return replace(plain, **self.accounts)


def config(*limits: Limit, **said: Any) -> Config:
    """Return a Config with these limits; ``said`` are fields of Site, or of Accounts as ``accounts``."""
    return Site(limits or (rate(),), **said).config()


RCPT = PolicyRequest(
    protocol_state="RCPT",
    client_address="192.0.2.17",
    client_port=43210,
    server_address="192.0.2.1",
    server_port=587,
    sender="alice@example.org",
    recipient="x@remote.test",
    recipient_count=0,
    queue_id="",
    instance="43ac.6b025c8e.6a03a.0",
    size=0,
    sasl_username="",
    policy_context="",
)
"""A recipient as Postfix asks about it, from a foreign client without a login."""


def asked(**changed: Any) -> PolicyRequest:
    """Return RCPT with some values changed."""
    return RCPT._replace(**changed)


def by_login(login: str = "alice@example.org", **changed: Any) -> PolicyRequest:
    """Return a recipient of a message that was sent with a SASL login."""
    return asked(sasl_username=login, **changed)


def locally(sender: str = "www@example.org", **changed: Any) -> PolicyRequest:
    """Return a recipient of a message that a client on this host sends without a login."""
    return asked(**{"client_address": "127.0.0.1", "server_port": 25, "sender": sender, **changed})
