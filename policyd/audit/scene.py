"""What the checks look at: every smtpd, where it asks this policyd, and where mail goes from it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from policyd.audit.lists import CHECK, END_LIST, Ask, asks, recipient_lists, socket_path
from policyd.audit.tokens import PolicyEntry, format_entry, milliseconds
from policyd.audit.view import PostfixView, Service
from policyd.conf.schema import Config, Endpoint, PaceLimit, Transport

_SHORTEST_TIMEOUT = 5_000
_RECOMMENDED_TIMEOUT = 45_000
_TRIES = 2
ANYWHERE = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 -- recognised, not bound
_LOCALHOST = frozenset({"", "localhost"})


@dataclass(frozen=True, slots=True, eq=False)
class Port:
    """One smtpd. ``recipient`` and ``end`` are where it asks policyd at RCPT and at END-OF-MESSAGE.

    ``lost`` are entries that would lead to policyd, were smtpd not in a chroot. ``elsewhere`` are
    the other policy services that it asks.
    """

    service: Service
    recipient: tuple[Ask, ...]
    end: tuple[Ask, ...]
    lost: tuple[Ask, ...]
    elsewhere: tuple[str, ...]

    @property
    def asked(self) -> tuple[Ask, ...]:
        """All places where it asks policyd."""
        return self.recipient + self.end


@dataclass(frozen=True, slots=True)
class Scene:
    """One policyd configuration and one Postfix configuration, side by side."""

    config: Config
    view: PostfixView
    ports: tuple[Port, ...]

    @property
    def queue_directory(self) -> str:
        """Where smtpd works, and where a relative unix path starts."""
        return self.view.main.get("queue_directory", "/var/spool/postfix")

    @property
    def shortest_timeout(self) -> int:
        """The least that Postfix should wait for an answer, in ms: four answers of the store."""
        return max(_SHORTEST_TIMEOUT, 4 * self.config.store.timeout)

    @property
    def endpoint(self) -> str:
        """How a check_policy_service names this policyd; below queue_directory without that part."""
        listening = self.config.listen.postfix
        chosen = next((one for one in listening if one.path), listening[0])
        if not chosen.path:
            return f"inet:{chosen}"
        return f"unix:{chosen.path.removeprefix(self.queue_directory.rstrip('/') + '/')}"

    def entry(self, present: Mapping[str, str] | None = None, context: str = "") -> str:
        """Return the recommended entry; it keeps the present options that are no trouble."""
        options = dict(present or {})
        timeout = milliseconds(options.pop("timeout", "")) or 0
        if not self.shortest_timeout <= timeout <= self.config.listen.policy_timeout:
            timeout = max(self.shortest_timeout, min(_RECOMMENDED_TIMEOUT, self.config.listen.policy_timeout))
        tries = options.pop("try_limit", "")
        tries = tries if tries.isdigit() and int(tries) >= _TRIES else str(_TRIES)
        options.pop("default_action", None)
        options |= {"policy_context": context} if context else {}
        base = {"timeout": f"{-(-timeout // 1000)}s", "try_limit": tries, "default_action": "DUNNO"}
        return format_entry(self.endpoint, base | options)

    def check(self, context: str = "") -> list[str]:
        """Return the recommended restriction, as words of a list."""
        return [CHECK, self.entry(context=context)]

    def filters(self) -> Iterator[tuple[Service, str]]:
        """Yield every smtpd that hands its mail to a content filter or a proxy filter, and which."""
        for port in self.ports:
            for parameter in ("content_filter", "smtpd_proxy_filter"):
                target = port.service.settings.get(parameter, "")
                if target:
                    yield port.service, target if parameter == "content_filter" else f"proxy:{target}"

    def pickup_ports(self) -> tuple[Port, ...]:
        """Return the smtpds that mail from pickup is re-injected to."""
        return tuple(
            port
            for pickup in self.view.of_program("pickup")
            for port in self.behind(pickup.settings.get("content_filter", ""))
        )

    def paces(self) -> list[tuple[PaceLimit, Transport]]:
        """Return the paces that transports of Postfix keep, on any plan, by their names and transports."""
        terms = [*self.config.plans.values(), *self.config.accounts.changed.values()]
        limits = [limit for one in terms for limit in one.limits if isinstance(limit, PaceLimit)]
        found = {(one.name, one.transport): (one, one.transport) for one in limits if one.transport is not None}
        return list(found.values())

    def paced_ports(self) -> frozenset[Port]:
        """Return the smtpds that take back what such a transport delivers."""
        numbers = {transport.port for _, transport in self.paces()}
        return frozenset(port for port in self.ports if port.service.port in numbers)

    def returning(self) -> tuple[Port, ...]:
        """Return the smtpds where mail may come back from a content filter (FILTER_README).

        They listen on loopback and filter no more.
        """
        return tuple(port for port in self.ports if port.service.loopback and not _filtered(port.service))

    def behind(self, content_filter: str) -> tuple[Port, ...]:
        """Return the smtpds that a content_filter, ``transport:nexthop``, leads to directly."""
        nexthop = content_filter.partition(":")[2]
        found = re.fullmatch(r"\[?(?P<host>[^\]]*?)\]?:(?P<port>\d+)", nexthop)
        if found is None:
            return ()
        host, number = found["host"], int(found["port"])
        return tuple(
            port
            for port in self.ports
            if port.service.port == number and (port.service.host in ANYWHERE or same_host(port.service.host, host))
        )


def look(config: Config, view: PostfixView) -> Scene:
    """Return the scene of two configurations."""
    queue = view.main.get("queue_directory", "/var/spool/postfix")
    ports = tuple(_port(config, queue, service) for service in view.of_program("smtpd"))
    return Scene(config, view, ports)


def _port(config: Config, queue: str, service: Service) -> Port:
    recipient: list[Ask] = []
    end: list[Ask] = []
    lost: list[Ask] = []
    elsewhere: list[str] = []
    for parameter in (*recipient_lists(service.settings), END_LIST):
        for ask in asks(service.settings, parameter):
            if leads_here(config, queue, ask.entry, chroot=service.chroot):
                (end if parameter == END_LIST else recipient).append(ask)
            elif service.chroot and leads_here(config, queue, ask.entry, chroot=False):
                lost.append(ask)
                (end if parameter == END_LIST else recipient).append(ask)
            elif ask.entry.endpoint not in elsewhere:
                elsewhere.append(ask.entry.endpoint)
    return Port(service, tuple(recipient), tuple(end), tuple(lost), tuple(elsewhere))


def leads_here(config: Config, queue: str, entry: PolicyEntry, *, chroot: bool) -> bool:
    """Return whether an entry leads to one of listen.postfix."""
    path = socket_path(entry.endpoint, queue, chroot=chroot)
    return any(one.path == path if path else _same_tcp(one, entry.endpoint) for one in config.listen.postfix)


def _same_tcp(listening: Endpoint, endpoint: str) -> bool:
    transport, _, address = endpoint.partition(":")
    host, _, port = address.rpartition(":")
    if transport != "inet" or listening.path or port != str(listening.port):
        return False
    return listening.host in ANYWHERE or same_host(listening.host, host.strip("[]"))


def same_host(one: str, other: str) -> bool:
    """Return whether two hosts are one: the same address, or names of this host."""
    one, other = one.lower(), other.lower()
    if one in _LOCALHOST or other in _LOCALHOST:
        return {one, other} <= _LOCALHOST | {"127.0.0.1", "::1"}
    try:
        return ip_address(one) == ip_address(other)
    except ValueError:
        return one == other


def _filtered(service: Service) -> bool:
    return bool(service.settings.get("content_filter") or service.settings.get("smtpd_proxy_filter"))
