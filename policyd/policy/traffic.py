"""Who is charged for a request, how sure that is, and which kind of sending it is.

The first that fits: the SASL login; a Unix user with an account; the list software's own context, port
or Unix user; another client on this host, by its envelope sender; anybody else is inbound and charges
nobody. A list envelope is the list's, verified from the first three, claimed from the fourth. A
stranger's envelope sender is never believed.
"""

from ipaddress import IPv4Address, IPv6Address, ip_address

from policyd.address import Address, normalise
from policyd.conf.schema import Config, Network
from policyd.model import UNLISTED, PolicyRequest, Sure, Traffic, TrafficKind
from policyd.policy.envelope import Envelopes

_REMEMBERED_CLIENTS = 10_000


class Attribution:
    """Attributes requests under one Config; remembers which clients are local, nothing else."""

    def __init__(self, config: Config) -> None:
        self._accounts = config.accounts
        self._lists = config.lists
        self._envelopes = Envelopes(config.lists)
        self._local: dict[str, bool] = {}
        self._knows_users = bool(config.lists.users or config.accounts.local_users)

    def asks_user(self, request: PolicyRequest) -> bool:
        """Return whether it matters which Unix user sends: he is on this host, has no login, and is not a bounce."""
        plain = self._knows_users and not request.sasl_username and bool(request.sender)
        return plain and self.is_local(request.client_address)

    def traffic(self, request: PolicyRequest, user: str = "") -> Traffic:
        """Return who is charged for a request. Never raises, whatever the addresses hold.

        ``user`` is the Unix user who sends, "" where that is unknown or does not matter.
        """
        sender = normalise(request.sender, self._accounts.delimiter)
        if request.sasl_username:
            return self._or_list(self.login(TrafficKind.USER, request.sasl_username, str(sender)), request)
        customer = self._customer(user)
        if customer:
            name = f"{user.lower()}@{customer}"
            return self._or_list(Traffic(TrafficKind.SCRIPT, customer, Sure.VERIFIED, name, str(sender)), request)
        if self._from_list_software(request, user):
            found = self.of_list(self._envelopes.of_software(request.sender) or sender, Sure.VERIFIED)
            if found is not None:
                return found
        if self.is_local(request.client_address):
            return self._local_client(request, sender)
        return Traffic(TrafficKind.INBOUND, "", Sure.NOBODY, "", str(sender))

    def hosted(self, domain: str) -> str:
        """Return the account of a hosted domain, after aliases; "" when it is not hosted."""
        name = self._accounts.aliases.get(domain, domain)
        return name if name in self._accounts.plans else ""

    def login(self, kind: TrafficKind, name: str, sender: str = "") -> Traffic:
        """Return who is charged for what a login does, or for the login itself."""
        login = normalise(name, self._accounts.delimiter)
        account = self._login_account(login)
        user = f"{login.local}@{account}" if account and not login.domain else str(login)
        return Traffic(kind, account or f"user:{user}", Sure.VERIFIED, user, sender)

    def _or_list(self, own: Traffic, request: PolicyRequest) -> Traffic:
        """Return a user's own traffic, or that of a list of his account that he sends for.

        Who has a list-like name and sends as himself is no list, unless the administrator says so.
        """
        envelopes, address = self._envelopes, str(normalise(request.sender, ""))
        posting = envelopes.named(request.sender) if address == own.user else envelopes.posting(request.sender)
        if posting is None or self.hosted(posting.domain) != own.account:
            return own
        return own._replace(kind=TrafficKind.LIST, sender=str(posting), list=str(posting))

    def of_list(self, posting: Address | None, sure: Sure) -> Traffic | None:
        """Return the traffic of a list that is hosted here, None when it is not."""
        account = self.hosted(posting.domain) if posting is not None else ""
        if not account:
            return None
        name = str(posting)
        return Traffic(TrafficKind.LIST, account, sure, name, name, name)

    def _login_account(self, login: Address) -> str:
        """Return the account of a login; "" when it has to have one of its own.

        A login that names a domain which can be none is not without one: two customers could meet
        in the default.
        """
        if login.domain:
            return self._accounts.aliases.get(login.domain, login.domain)
        if "@" in login.local:
            return ""
        return self._accounts.local_users.get(login.local) or self._accounts.default_domain

    def _customer(self, user: str) -> str:
        """Return the account of a Unix user, "" when he has none or is the list software's own."""
        if not user or user in self._lists.users:
            return ""
        return self._accounts.local_users.get(user.lower(), "")

    def _from_list_software(self, request: PolicyRequest, user: str) -> bool:
        names = self._lists.contexts
        if names and (request.policy_context in names or str(request.server_port) in names):
            return True
        return bool(user) and user in self._lists.users

    def _local_client(self, request: PolicyRequest, sender: Address) -> Traffic:
        if not request.sender:
            return Traffic(TrafficKind.SCRIPT, "", Sure.NOBODY, "", "")
        sure = Sure.VERIFIED if request.policy_context in self._accounts.verified_contexts else Sure.CLAIMED
        found = self.of_list(self._envelopes.posting(request.sender), sure)
        if found is not None:
            return found
        account = self._sender_account(sender)
        if not account:
            return _charged(TrafficKind.RELAYED, UNLISTED, Sure.CLAIMED, sender)
        return _charged(TrafficKind.SCRIPT, account, sure, sender)

    def _sender_account(self, sender: Address) -> str:
        if not sender.domain or sender.domain in self._accounts.local_names:
            account = self._accounts.local_users.get(sender.local, "")
            if account:
                return account
        return self.hosted(sender.domain)

    def is_local(self, client: str) -> bool:
        """Return whether a client's mail without login is a customer's own."""
        known = self._local.get(client)
        if known is None:
            if len(self._local) >= _REMEMBERED_CLIENTS:
                self._local.clear()
            known = self._local[client] = within(client, self._accounts.local_clients)
        return known


def within(client: str, networks: tuple[Network, ...]) -> bool:
    """Return whether a client address as Postfix writes it ("unknown" too) is in one of the networks."""
    try:
        address: IPv4Address | IPv6Address = ip_address(client.removeprefix("IPv6:"))
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in network for network in networks)


def _charged(kind: TrafficKind, account: str, sure: Sure, sender: Address) -> Traffic:
    """Return traffic whose user is its sender: there is no login to name."""
    return Traffic(kind, account, sure, str(sender), str(sender))
