"""What an admin names, and whose account that is.

example.org                a domain: everything that its account sends
bob@example.org            a login, and mail of scripts with that sender
list:news@example.org      what a list sends to its members, and posts to it
mailbox:bob@example.org    a mailbox: it can neither send nor be opened by POP or IMAP
user:bob                   the account of a login without a domain
192.0.2.9                  a client
"""

from typing import NamedTuple

from policyd.address import normalise, normalise_domain
from policyd.conf.schema import Config
from policyd.errors import PolicydError
from policyd.model import UNLISTED
from policyd.policy.logins import client_account, client_of
from policyd.policy.suspendable import SubjectKind


class UnknownSubjectError(PolicydError):
    """Raised for a subject that no account answers to."""


class Subject(NamedTuple):
    """An account, and the address within it that is meant; "" for the account as a whole."""

    account: str
    address: str
    kind: SubjectKind

    @property
    def name(self) -> str:
        """The name under which it is suspended within its account."""
        return f"{self.kind}:{self.address}" if self.address else self.kind.value

    def __str__(self) -> str:
        return self.name if self.kind in {SubjectKind.LIST, SubjectKind.MAILBOX} else self.address or self.account


def is_hosted(config: Config, account: str) -> bool:
    """Return whether an account is a customer's, or one of those that there are beside them."""
    return account in config.accounts.plans or account == UNLISTED or account.startswith("user:")


def find_subject(config: Config, named: str) -> Subject:
    """Return whom a name means, in any spelling. Raises UnknownSubjectError."""
    client = client_of(named.removeprefix("client:"))
    if client:
        return Subject(client_account(client), client, SubjectKind.CLIENT)
    accounts = config.accounts
    if named == UNLISTED or named.startswith("user:"):
        return Subject(named, "", SubjectKind.DOMAIN)
    kind, address = _kind(named)
    if "@" in address:
        name = normalise(address, accounts.delimiter)
        return Subject(accounts.aliases.get(name.domain, name.domain), str(name), kind)
    domain = normalise_domain(address)
    account = accounts.aliases.get(domain, domain)
    if account in accounts.plans and address == named:
        return Subject(account, "", SubjectKind.DOMAIN)
    account = accounts.local_users.get(address, "")
    if not account:
        cure = "name a hosted domain, a login as user@example.org, user:NAME for one without a domain, or (unlisted)"
        raise UnknownSubjectError(f"{named} is not hosted here ({cure})")
    return Subject(account, f"{address}@{account}", kind)


def _kind(named: str) -> tuple[SubjectKind, str]:
    for kind in (SubjectKind.LIST, SubjectKind.MAILBOX):
        if named.startswith(f"{kind}:"):
            return kind, named.removeprefix(f"{kind}:")
    return SubjectKind.USER, named
