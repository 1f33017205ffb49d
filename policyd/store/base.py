"""What policyd asks of a store, and the promise that every store keeps.

A store knows counters and message records, no policy. One call is one atomic step: all charges are
made or none. A call that was answered with a StoreError is never charged later than its deadline.

The contract of the script (``store/lua``):

    charge      repeat detection by the record's fingerprint, then all counters checked, all charged
                or none; the receipts go to the record
    settle      the record's receipts are replaced so that they sum to the message's recipients,
                less those that the limit does not look at (to the charge's cost where a message is
                charged once), forced; without a record everything is charged, forced
    give back   the record's receipts are undone into the sub-windows that they came from, unless
                another request was seen since (``fingerprint`` differs) or it was settled
    peek        what the counters hold; changes nothing

Charge and peek heed what stands of the account in its state: suspensions of the call's subjects
first, then raises (another maximum for a while) and locks (refused until a moment).
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from policyd.errors import StoreError
from policyd.model import Charge, Outcome, Word


class Op(Word):
    """The operations of the script; the values are metric labels."""

    CHARGE = "charge"
    SETTLE = "settle"
    GIVE_BACK = "give-back"
    PEEK = "peek"


class Record(NamedTuple):
    """Which message record a call belongs to.

    ``fingerprint`` names the request (state and recipient) within the message; ``keep`` is how
    long the record lives after it, in ms. ``uncharged`` is how many of the message's recipients
    were accepted without a call; ``recipients`` is, in a settlement, how many it has in all.
    """

    host: str
    instance: str
    fingerprint: str
    keep: int
    uncharged: int = 0
    recipients: int = 0


class Call(NamedTuple):
    """One call of the script. ``record`` is None for a peek, and for a charge that belongs to no message.

    ``suspensions`` are the names under which the subjects of the call may be suspended: a charge is
    refused, and a peek answered, by the first that is in force.
    """

    op: Op
    account: str
    record: Record | None
    charges: tuple[Charge, ...]
    suspensions: tuple[str, ...] = ()


Done = Callable[[Outcome | StoreError], None]


class Store(Protocol):
    """The counters. ``submit`` never raises and never blocks: ``done`` is called exactly once."""

    def submit(self, call: Call, done: Done) -> None:
        """Send a call; ``done`` gets the outcome, or the error after at most store.timeout."""

    @property
    def up(self) -> bool:
        """Whether the store answered last time it was asked."""

    @property
    def trouble(self) -> str:
        """Why the store does not count, "" while it does."""
