"""Ten minutes of mail for two daemons, for three of which Redis is away, and when_down is local."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from itertools import count

import pytest

from policyd.conf.away import WhenDown
from policyd.conf.schema import StoreSettings
from policyd.model import Action, Suspension, Verdict
from policyd.service import Service
from policyd.store.base import Call, Op
from policyd.store.local.store import LocalStore
from tests.store.away import TIMEOUT, Away, Fault
from tests.store.scripted import Scripted, charge
from tests.support.clock import ManualClock
from tests.support.config import asked, config, rate
from tests.support.deciding import HOST, Heard, Users
from tests.support.redis import RedisServer

MAX = 100
ACCOUNTS = [f"d{number}.test" for number in range(8)]
OUTAGE = range(200, 380)
ADMITTED = (Action.ACCEPT, Action.DELAY)


class Nobody:
    """Implements suspension.Mirror: nobody is suspended."""

    def find(self, *_: object) -> Suspension | None:
        """Return nothing."""
        return None

    def door(self, *_: object) -> Suspension | None:
        """Return nothing."""
        return None


class NoLists:
    """Implements policy.sizes.Seen: no list has mailed."""

    def __contains__(self, posting: object) -> bool:
        return False

    def of(self, domain: str) -> tuple[str, ...]:  # noqa: ARG002  # a Seen
        """Return none."""
        return ()

    def note(self, posting: str, now: int) -> None:
        """Note nothing."""


def unheard(*_: object) -> None:
    """Hear what was paid back."""


class Node:
    """One daemon."""

    def __init__(self, scripted: Scripted, clock: ManualClock) -> None:
        store = StoreSettings(when_down=WhenDown.LOCAL)
        site = config(rate("recipients", max=MAX), domains=tuple(ACCOUNTS), store=store)
        self.away, mirror, self.heard = Away(scripted, clock), Nobody(), Heard()
        self.store = LocalStore(self.away, 0, clock, nodes=lambda: 2, suspended=mirror.find, paid=unheard)
        self.service = Service(site, self.store, self.heard, clock, owners=Users(), mirror=mirror, seen=NoLists())
        self.saw: dict[str, int] = defaultdict(int)
        """What each account had sent when this daemon had the store's last answer about it."""

    def ask(self, **request: object) -> Verdict:
        """Return the answer to a request."""
        heard: list[Verdict | None] = []
        self.service.decide(self.service.opened(HOST), asked(**request), heard.append)
        assert heard[0] is not None
        return heard[0]


@pytest.fixture
def scripted(module_redis: RedisServer) -> Iterator[Scripted]:
    """Yield the script on an empty Redis."""
    with module_redis.client() as client:
        made = Scripted(client)
        made.flush()
        yield made


def test_ten_minutes(scripted: Scripted) -> None:
    """Nothing is rejected for it, no account sends more than its bound, and all of it is in Redis in the end."""
    clock, numbers = ManualClock(), count()
    nodes = [Node(scripted, clock) for _ in range(2)]
    sent: dict[str, int] = defaultdict(int)
    missed: dict[str, int] = {}
    for second in range(600):
        if second == OUTAGE.start:
            nodes[0].away.fault, nodes[1].away.fault = Fault.LOST, Fault.LATE
            missed = {name: max(sent[name] - node.saw[name] for node in nodes) for name in ACCOUNTS}
        if second == OUTAGE.stop:
            for node in nodes:
                node.away.run_late()
                node.away.fault = Fault.NONE
                asyncio.run(node.store.pay())
        for number, name in enumerate(ACCOUNTS):
            if second % (number + 1) == 0:
                node = nodes[second // (number + 1) % 2]
                verdicts = message(node, name, f"m{next(numbers)}")
                sent[name] += sum(verdict.action in ADMITTED for verdict in verdicts)
                if second in OUTAGE:
                    assert Action.REJECT not in {verdict.action for verdict in verdicts}
                else:
                    node.saw[name] = sent[name]
        clock.advance(1000)

    assert sent == {name: used(scripted, clock, name) for name in ACCOUNTS}
    assert all(sent[name] <= MAX + missed[name] for name in ACCOUNTS)
    assert {sent[name] >= MAX for name in ACCOUNTS[:5]} == {True}
    assert [node.store.unpaid for node in nodes] == [0, 0]
    assert any(node.heard.failures for node in nodes)
    assert TIMEOUT < 1000


@pytest.mark.parametrize("bound", ["store.MOST", "counting.MOST_ACCOUNTS"])
def test_what_is_beyond_the_bounds_waits(scripted: Scripted, monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
    """Mail that could not be paid back, or whose account could not be remembered, hears 450."""
    monkeypatch.setattr(f"policyd.store.local.{bound}", 2)
    node = Node(scripted, ManualClock())
    node.away.fault = Fault.DOWN
    said = [node.ask(sasl_username=f"alice@{name}", instance=name).action for name in ACCOUNTS[:4]]

    assert said == [Action.ACCEPT] * 2 + [Action.DEFER] * 2


def message(node: Node, domain: str, instance: str) -> list[Verdict]:
    """Send a message to one recipient, or two, and return what was said of them."""
    login = {"sasl_username": f"alice@{domain}", "sender": f"alice@{domain}", "instance": instance}
    verdicts = [node.ask(**login, recipient=f"r{number}@remote.test") for number in range(1 + len(instance) % 2)]
    accepted = sum(verdict.action is Action.ACCEPT for verdict in verdicts)
    if accepted:
        node.ask(**login, protocol_state="END-OF-MESSAGE", recipient="", recipient_count=accepted)
    return verdicts


def used(scripted: Scripted, clock: ManualClock, account: str) -> int:
    """Return what Redis has counted."""
    limit = charge(MAX, limit="recipients", subject=account)
    return scripted.ask(Call(Op.PEEK, account, None, (limit,)), clock.now()).usages[0].used
