"""What an admin names: a domain, a login, a client's address, and whose account that is."""

from typing import NamedTuple

from policyd.address import normalise, normalise_domain
from policyd.conf.schema import Config
from policyd.errors import PolicydError
from policyd.model import UNLISTED
from policyd.policy.logins import client_account, client_of


class UnknownSubjectError(PolicydError):
    """Raised for a subject that no account answers to."""


class Subject(NamedTuple):
    """An account, and the address within it that is meant; "" for the account as a whole."""

    account: str
    address: str


def find_subject(config: Config, named: str) -> Subject:
    """Return whom a name means, in any spelling. Raises UnknownSubjectError."""
    client = client_of(named.removeprefix("client:"))
    if client:
        return Subject(client_account(client), client)
    accounts = config.accounts
    if named == UNLISTED or named.startswith("user:"):
        return Subject(named, "")
    if "@" in named:
        address = normalise(named, accounts.delimiter)
        return Subject(accounts.aliases.get(address.domain, address.domain), str(address))
    domain = normalise_domain(named)
    account = accounts.aliases.get(domain, domain)
    if account in accounts.plans:
        return Subject(account, "")
    account = accounts.local_users.get(named, "")
    if not account:
        cure = "name a hosted domain, a login as user@example.org, user:NAME for one without a domain, or (unlisted)"
        raise UnknownSubjectError(f"{named} is not hosted here ({cure})")
    return Subject(account, f"{named}@{account}")
