"""What a panel may show to a customer: his own numbers, no address of a client, no name of anybody else."""

from collections.abc import Iterable
from dataclasses import dataclass

from policyd.address import normalise
from policyd.conf.schema import Config
from policyd.model import Mode
from policyd.status import Gauge
from policyd.suspension import Suspended


@dataclass(frozen=True, slots=True)
class PublicLimit:
    """One limit. ``subject`` is the domain, or one of its addresses; ``resumes`` is empty while one more fits."""

    limit: str
    subject: str
    counts: str
    used: int
    max: int
    window: int
    resumes: str


@dataclass(frozen=True, slots=True)
class PublicStatus:
    """What a domain has used. ``suspended`` are the domain, if it is, and those of its addresses that are."""

    domain: str
    plan: str
    limits: tuple[PublicLimit, ...]
    suspended: tuple[str, ...]


def public_status(
    config: Config, account: str, gauges: Iterable[Gauge], suspended: Iterable[Suspended]
) -> PublicStatus:
    """Return what the customer of an account may see. Limits that only observe are no business of his."""
    shown = [one for one in gauges if one.mode == Mode.ENFORCE and _is_own(config, account, one.subject)]
    limits = (
        PublicLimit(one.limit, one.subject, one.counts, one.used, one.max, one.window, one.resumes) for one in shown
    )
    named = sorted(one.subject for one in suspended if one.account == account)
    return PublicStatus(account, config.terms(account).plan, tuple(limits), tuple(named))


def _is_own(config: Config, account: str, subject: str) -> bool:
    """Return whether a subject is the account itself, or an address of one of its domains."""
    domain = normalise(subject, "").domain
    return subject == account or ("@" in subject and config.accounts.aliases.get(domain, domain) == account)
