"""The store as slowly and plainly as can be: the script in Python, with every entry kept.

What the real script does with a list of calls is compared with what this does. Keys do not expire
here, so a comparison must be over before the first one would.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count

from policyd.model import NEVER_FITS, Charge, CounterType, Episode, Outcome, Usage
from policyd.store.base import Call, Op, Record
from tests.store.counters import Counter, Log, Pace, Ring

Name = tuple[str, str]
"""A limit and a subject: what a counter is for."""

HOUR = 3_600_000

_MADE: dict[CounterType, Callable[[], Counter]] = {CounterType.RING: Ring, CounterType.LOG: Log, CounterType.PACE: Pace}
_OTHER = {CounterType.RING: CounterType.LOG, CounterType.LOG: CounterType.RING}
"""A limit whose max crosses the border between two types goes on with what the other one holds."""


@dataclass
class Receipt:
    """What a message was charged on one counter: [grain, place, units], in order."""

    type: CounterType
    skipped: int = 0
    places: list[list[int]] = field(default_factory=list)

    @property
    def sum(self) -> int:
        """The units of all places."""
        return sum(units for _, _, units in self.places)


@dataclass
class Message:
    """A message record."""

    fingerprint: str = ""
    answer: Outcome | None = None
    settled: bool = False
    receipts: dict[Name, Receipt] = field(default_factory=dict)


@dataclass
class Looked:
    """A charge and what its counter held: ``moved`` units of them are held by the other type."""

    charge: Charge
    used: int
    moved: int


class Model:
    """One account. ``ask`` answers a call made at ``now``; refs are decimal numbers."""

    def __init__(self) -> None:
        self._counters: dict[tuple[CounterType, Name], Counter] = {}
        self._messages: dict[str, Message] = {}
        self._episodes: dict[Name, tuple[str, int]] = {}
        self._locks: dict[Name, int] = {}
        self._refs: Iterator[int] = count(1)

    def ask(self, call: Call, now: int) -> Outcome:
        """Return the outcome that the store must give."""
        record = call.record
        instance = record.instance if record else ""
        message = self._messages.get(instance) if instance else None
        if call.op is Op.PEEK:
            return self._charged(call, None, now)
        assert record
        if call.op is Op.GIVE_BACK:
            return self._given_back(instance, message, record.fingerprint, now)
        if message and message.fingerprint == record.fingerprint and (again := self._repeated(call, message, now)):
            return again
        outcome = self._charged(call, message, now) if call.op is Op.CHARGE else self._settled(call, message, now)
        if instance in self._messages or (outcome.admitted and instance):
            kept = self._messages.setdefault(instance, Message())
            kept.fingerprint, kept.answer = record.fingerprint, outcome
            kept.settled = call.op is Op.SETTLE
        return outcome

    # operations

    def _repeated(self, call: Call, message: Message, now: int) -> Outcome | None:
        first = message.answer
        assert first
        if len(first.usages) == len(call.charges):
            quiet = tuple(u._replace(episode=u.episode and u.episode._replace(started=False)) for u in first.usages)
            return first._replace(repeated=True, now=now, usages=quiet)
        if not first.admitted:
            return None
        usages = tuple(Usage(looked.used, looked.charge.max, 0, None) for looked in self._look(call, now))
        return first._replace(repeated=True, now=now, usages=usages)

    def _charged(self, call: Call, message: Message | None, now: int) -> Outcome:
        looked = self._look(call, now)
        usages, admitted = [], True
        for one in looked:
            charge = one.charge
            receipt = message.receipts.get(_name(charge)) if message else None
            if charge.once and receipt and receipt.places:
                charge = one.charge = charge._replace(cost=0)
            locked = charge.lock > 0 and self._locks.get(_name(charge), 0) > now
            if charge.lock and not locked and call.op is Op.CHARGE:
                self._locks.pop(_name(charge), None)  # for good, though the clock should step back
            asked = 0 if charge.type is CounterType.PACE else charge.cost
            fits = charge.cost == 0 or (one.used + asked <= charge.max and not locked)
            admitted = admitted and (fits or charge.observed)
            fits_at = 0 if fits else self._locks[_name(charge)] if locked else self._fits_at(one, now)
            if not fits and call.op is Op.CHARGE and charge.lock and not charge.observed and fits_at != NEVER_FITS:
                self._locks[_name(charge)] = fits_at
            episode = None if fits else self._episode(call.op, charge, now, fits_at)
            usages.append(Usage(one.used, charge.max, fits_at, episode))
        if not admitted or call.op is Op.PEEK:
            return Outcome(admitted, repeated=False, now=now, usages=tuple(usages))
        receipts = message.receipts if message else {}
        for index, one in enumerate(looked):
            paced = one.charge.type is CounterType.PACE
            if one.charge.cost and not (paced and usages[index].episode):
                slot = now + one.used if paced and one.used else 0
                usages[index] = usages[index]._replace(fits_at=slot or usages[index].fits_at)
                self._put(receipts, one, one.charge.cost, now)
            if one.charge.skipped:
                receipts.setdefault(_name(one.charge), Receipt(one.charge.type)).skipped += 1
            usages[index] = usages[index]._replace(used=one.used)
        instance = call.record.instance if call.record else ""
        if instance:
            self._messages.setdefault(instance, Message(receipts=receipts))
        return Outcome(admitted=True, repeated=False, now=now, usages=tuple(usages))

    def _settled(self, call: Call, message: Message | None, now: int) -> Outcome:
        assert call.record
        looked = self._look(call, now)
        for one in looked:
            receipt = message.receipts.get(_name(one.charge)) if message else Receipt(one.charge.type)
            missing = _wanted(one.charge, call.record, receipt) - (receipt.sum if receipt else 0)
            if missing > 0:
                self._put({}, one, missing, now)
            elif receipt and missing < 0:
                self._take_back(_name(one.charge), receipt, -missing)
                one.used = self._look(call._replace(charges=(one.charge,)), now)[0].used
        usages = tuple(Usage(one.used, one.charge.max, 0, None) for one in looked)
        if call.record.instance:
            self._messages[call.record.instance] = Message(settled=True)
        return Outcome(admitted=True, repeated=False, now=now, usages=usages, unknown=message is None)

    def _given_back(self, instance: str, message: Message | None, fingerprint: str, now: int) -> Outcome:
        if message is None or message.settled or message.fingerprint != fingerprint:
            return Outcome(admitted=False, repeated=False, now=now, usages=())
        for name, receipt in message.receipts.items():
            self._take_back(name, receipt, receipt.sum)
        del self._messages[instance]
        return Outcome(admitted=True, repeated=False, now=now, usages=())

    # counters

    def _look(self, call: Call, now: int) -> list[Looked]:
        looked = []
        for charge in call.charges:
            name = _name(charge)
            own, other = self._counters.get((charge.type, name)), self._other(charge.type, name)
            used = own.peek(now, charge.window) if own else 0
            moved = other.peek(now, charge.window) if other and not own else 0
            looked.append(Looked(charge, used + moved, moved))
        return looked

    def _put(self, receipts: dict[Name, Receipt], one: Looked, units: int, now: int) -> None:
        charge, name = one.charge, _name(one.charge)
        if charge.type in _OTHER:
            self._counters.pop((_OTHER[charge.type], name), None)
        counter = self._counters.setdefault((charge.type, name), _MADE[charge.type]())
        grain, place = counter.apply(now, charge.window, units + one.moved)
        one.used, one.moved = counter.peek(now, charge.window), 0
        receipt = receipts.setdefault(name, Receipt(charge.type))
        receipt.type = charge.type
        receipt.places.append([grain, place, units])

    def _other(self, type_: CounterType, name: Name) -> Counter | None:
        """Return the counter of the type that the limit may have had before."""
        return self._counters.get((_OTHER[type_], name)) if type_ in _OTHER else None

    def _take_back(self, name: Name, receipt: Receipt, units: int) -> None:
        counter = self._counters.get((receipt.type, name))
        for grain, place, held in receipt.places:
            some = min(units, held)
            if counter and some:
                counter.undo(grain, place, some)
            units -= some

    def _fits_at(self, one: Looked, now: int) -> int:
        charge = one.charge
        asked = 0 if charge.type is CounterType.PACE else charge.cost
        if asked > charge.max:
            return NEVER_FITS
        if charge.lock and not charge.observed:
            return now + charge.lock
        counter = self._counters.get((charge.type, _name(charge))) or _MADE[charge.type]()
        return counter.fits_at(now, charge.window, one.used + asked - charge.max)

    def _episode(self, op: Op, charge: Charge, now: int, fits_at: int) -> Episode:
        ref, ends = self._episodes.get(_name(charge), ("", 0))
        started = ends <= now
        if op is Op.PEEK:
            return Episode("" if started else ref, started=False)
        ref = str(next(self._refs)) if started else ref
        lasts = max(charge.window, HOUR) if charge.type is CounterType.PACE else charge.window
        ends = max(now + lasts, fits_at if charge.lock else 0)
        self._episodes[_name(charge)] = ref, ends
        return Episode(ref, started)


def _wanted(charge: Charge, record: Record, receipt: Receipt | None) -> int:
    if charge.type is CounterType.PACE:
        return receipt.sum if receipt else 0
    if receipt is None or charge.skipped:
        return 0
    counted = max(record.recipients - record.uncharged - receipt.skipped, min(receipt.sum, record.recipients))
    return (charge.cost if charge.once else counted) if counted > 0 else 0


def _name(charge: Charge) -> Name:
    return charge.limit, charge.subject
