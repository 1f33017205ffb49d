"""``store.when_down: local``: a Store around the real one, which goes on counting while that is away.

    the store answers        its outcome, of which the usages are remembered
    it gives no answer       the charge is counted here; CountedLocally where it was let through
    an account owes          as without an answer, until all of it was paid back

A call without message record is never counted here: it could not be paid back exactly.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import partial
from heapq import nlargest
from operator import itemgetter
from time import perf_counter

from policyd.clock import Clock
from policyd.errors import CountedLocally, StoreError, StoreUnavailable
from policyd.model import Outcome
from policyd.plural import plural
from policyd.store.base import Call, Done, Op, Record, Store
from policyd.store.local.counting import Counting
from policyd.store.local.unpaid import MOST, Key, Owed, Unpaid, forced

EVERY = 0.5
"""How often it is looked whether something can be paid back, in seconds."""

BATCH = 100
"""Calls that are paid at once. As long as a batch took, decisions have the store to themselves."""

LAST_CHANCE = 5.0
"""How long a daemon that ends goes on paying, in seconds."""

_UNREAD = 5000
"""Answers that are not taken over before they have to be."""

_log = logging.getLogger("policyd.store")

_NAMED = 5
"""Accounts that are named in a line of the log."""

Suspended = Callable[[str, Iterable[str], int], object]
"""Says whether one of the names is suspended in an account at a moment."""

Paid = Callable[[Call, Outcome], None]
"""Hears what the store said of a call when it was paid back."""


class LocalStore:
    """Implements Store. ``timeout`` is the wrapped one's, in s; ``nodes`` says how many daemons share the limits."""

    def __init__(
        self, store: Store, timeout: float, clock: Clock, *, nodes: Callable[[], int], suspended: Suspended, paid: Paid
    ) -> None:
        self._store, self._timeout, self._clock = store, timeout, clock
        self._nodes, self._suspended, self._paid = nodes, suspended, paid
        self._counting, self._unpaid = Counting(), Unpaid()
        self._unread = OrderedDict[int, tuple[Call, Outcome]]()
        self._full = False

    @property
    def up(self) -> bool:
        """Whether the wrapped store answers."""
        return self._store.up

    @property
    def trouble(self) -> str:
        """Why the wrapped store does not count, "" while it does."""
        return self._store.trouble

    @property
    def unpaid(self) -> int:
        """How many calls have to be paid back."""
        return self._unpaid.count

    def submit(self, call: Call, done: Done) -> None:
        """Send a call, or answer it here."""
        if self._unpaid.count and self._unpaid.owes(call.account):
            why = self._store.trouble or "the account has charges to pay back"
            self._answer(call, done, StoreUnavailable(call.op.value, why))
        else:
            self._store.submit(call, partial(self._heard, call, done))

    async def run(self) -> None:
        """Pay back for ever what can be."""
        while True:
            await asyncio.sleep(EVERY)
            if self._unpaid.count and self._store.up:
                try:
                    await self.pay()
                except Exception:  # noqa: BLE001  # a bug there must not end the paying
                    _log.exception("charges could not be paid back")

    async def end(self, running: asyncio.Task[None]) -> None:
        """End ``running``, and pay what can be paid soon; what cannot is lost, and the log says whose it is."""
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        now = asyncio.get_running_loop().time
        deadline = now() + LAST_CHANCE
        while self._unpaid.count and (left := deadline - now()) > 0:
            if self._store.up:
                await asyncio.wait([asyncio.create_task(self.pay())], timeout=left)
            else:
                await asyncio.sleep(min(EVERY, left))
        if self._unpaid.count:
            lost = "%s of this daemon not paid back, and lost: %s"
            _log.error(lost, plural(self._unpaid.count, "charge"), self._debtors())

    def _debtors(self) -> str:
        """Return who owes most, and how much."""
        accounts = self._unpaid.accounts
        named = ", ".join(f"{name} {count}" for name, count in nlargest(_NAMED, accounts.items(), key=itemgetter(1)))
        more = len(accounts) - _NAMED
        return f"{named} and {plural(more, 'more account')}" if more > 0 else named

    async def pay(self) -> None:
        """Pay back in batches, as long as the store answers to one of each; what it did not answer is tried last."""
        await asyncio.sleep(self._timeout)  # what was given up cannot run any more then
        before, answered = self._unpaid.count, True
        while answered and self._store.up and (batch := self._unpaid.first(BATCH)):
            begun = perf_counter()
            answered = any(await asyncio.gather(*(self._paying(key, owed) for key, owed in batch)))
            await asyncio.sleep(perf_counter() - begun)
        if not self._unpaid.count:
            self._full = False
            _log.info("what was let through without the store is paid back: %s", plural(before, "charge"))

    # answers

    def _heard(self, call: Call, done: Done, outcome: Outcome | StoreError) -> None:
        if isinstance(outcome, StoreError):
            self._answer(call, done, outcome)
            return
        if outcome.usages and not outcome.repeated:
            # Most calls of a sender have the very same charges; what was said of them last is enough.
            unread, key = self._unread, id(call.charges)
            unread[key] = call, outcome
            unread.move_to_end(key)
            if len(unread) > _UNREAD:
                self._saw(*unread.popitem(last=False)[1])
        done(outcome)

    def _read(self) -> None:
        """Take over what the store has said lately, in that order."""
        for call, outcome in self._unread.values():
            self._saw(call, outcome)
        self._unread.clear()

    def _saw(self, call: Call, outcome: Outcome) -> None:
        self._counting.saw(call.account, call.charges, outcome, at_least=self._unpaid.owes(call.account))

    def _answer(self, call: Call, done: Done, error: StoreError) -> None:
        record = call.record
        if record is None or not record.instance or call.op is Op.PEEK:
            done(error)
            return
        self._read()
        if self._unpaid.count >= MOST:
            self._tell_full()
            done(error)
        elif call.op is Op.CHARGE:
            done(self._charged(call, record, error))
        else:
            if call.op is Op.GIVE_BACK:
                for owed in self._unpaid.of(call.account, record):
                    self._counting.undo(call.account, owed.call.charges, owed.slots)
            self._unpaid.add(call.account, record, Owed(call, ()))
            done(error)

    def _charged(self, call: Call, record: Record, error: StoreError) -> StoreError:
        """Return the error that says whether the charges were let through here."""
        now, account = self._clock.now(), call.account
        owed = self._unpaid.of(account, record)
        if owed and _fingerprint(owed[-1].call) == record.fingerprint:
            return CountedLocally(error)
        if self._suspended(account, call.suspensions, now) or not self._counting.has_room(account):
            return error
        charged = {(charge.limit, charge.subject) for one in owed for charge in one.call.charges}
        slots, short = self._counting.charge(account, call.charges, charged, now, self._nodes())
        if short:
            return StoreUnavailable(error.op, f"{error.why}, and this daemon's share of {short} is used up")
        self._unpaid.add(account, record, Owed(call, slots))
        return CountedLocally(error)

    def _tell_full(self) -> None:
        if not self._full:
            _log.error("%d charges have to be paid back: until they are, mail that would be charged is deferred", MOST)
        self._full = True

    # paying

    async def _paying(self, key: Key, owed: Owed) -> bool:
        """Pay the first call of a message; returns whether the store answered."""
        outcome = await self._forced(owed.call)
        if isinstance(outcome, StoreError):
            self._unpaid.postpone(key)
            return False
        call, record = owed.call, owed.call.record
        if call.op is Op.CHARGE and outcome.repeated and not outcome.admitted and record is not None:
            # The store had refused what was let through here.
            self._unpaid.change(key, call._replace(record=record._replace(fingerprint=f"{record.fingerprint} ")))
            return True
        if outcome.repeated:
            self._counting.paid(call.account, call.charges)
        elif outcome.usages:
            self._saw(call, outcome)
            self._paid(call, outcome)
        if self._unpaid.paid(key):
            self._counting.settled(call.account)
        return True

    async def _forced(self, call: Call) -> Outcome | StoreError:
        future: asyncio.Future[Outcome | StoreError] = asyncio.get_running_loop().create_future()

        def done(outcome: Outcome | StoreError) -> None:
            if not future.done():  # the daemon ends
                future.set_result(outcome)

        self._store.submit(forced(call), done)
        return await future


def _fingerprint(call: Call) -> str:
    return call.record.fingerprint if call.record is not None else ""
