"""The store is away and the daemons count on: within their shares, and paid back exactly, whatever is lost."""

import asyncio
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policyd.clock import Clock, SystemClock
from policyd.errors import StoreError, StoreTimeout, StoreUnavailable
from policyd.model import Charge, CounterType, Member, Outcome
from policyd.store.base import Call, Done, Op, Record
from policyd.store.local import counting, unpaid
from policyd.store.local.store import BATCH, LocalStore
from tests.store.away import TIMEOUT, Away, Fault
from tests.store.scripted import DAY, KEEP, MINUTE, Scripted, account, charge
from tests.support.clock import ManualClock
from tests.support.host import Host

LIMIT = charge(200, limit="domain")
EXACT = charge(60, limit="user")
BOTH = (LIMIT, EXACT)


class Site:
    """Daemons on one Redis, and one account whose use is written down."""

    def __init__(
        self, scripted: Scripted, daemons: int = 1, nodes: int | None = None, clock: Clock | None = None
    ) -> None:
        """``clock`` is the daemons'; without one they have the time of Redis, which is ``self.clock``."""
        self.scripted, self.clock, self.account = scripted, ManualClock(), account()
        self.suspended, time = False, clock or self.clock
        self.aways = [Away(scripted, self.clock) for _ in range(daemons)]
        self.daemons = [
            LocalStore(
                away, 0, time, nodes=lambda: nodes or daemons, suspended=lambda *_: self.suspended, paid=self._heard
            )
            for away in self.aways
        ]
        self.heard: list[tuple[Call, Outcome]] = []
        """What was said of calls that were paid back."""
        self.true: dict[str, int] = {}
        """What each message should have been charged."""
        self._numbers = count()

    def _heard(self, call: Call, outcome: Outcome) -> None:
        self.heard.append((call, outcome))

    def ask(self, message: str, op: Op = Op.CHARGE, daemon: int = 0, **record: Any) -> Outcome | StoreError:
        """Return the answer to a call for a message."""
        charges = record.pop("charges", BOTH)
        fingerprint = record.pop("fingerprint", f"{op} {next(self._numbers)}")
        return self.send(Call(op, self.account, Record("mx", message, fingerprint, KEEP, **record), charges), daemon)

    def send(self, call: Call, daemon: int = 0) -> Outcome | StoreError:
        """Return the answer to a call."""
        heard: list[Outcome | StoreError] = []
        self.daemons[daemon].submit(call, heard.append)
        (answer,) = heard
        return answer

    def rcpt(self, message: str, daemon: int = 0, **record: Any) -> bool:
        """Return whether a recipient is let through, and write it down."""
        answer = self.ask(message, daemon=daemon, **record)
        if isinstance(answer, StoreError):
            assert answer.admitted or not isinstance(answer, StoreTimeout) or "used up" in str(answer)
        self.true[message] = self.true.get(message, 0) + answer.admitted
        return answer.admitted

    def fault(self, fault: Fault) -> None:
        """Have all calls suffer a fault from now on."""
        for away in self.aways:
            away.fault = fault

    def back(self) -> None:
        """Redis is back, has read what was late, and is paid."""
        self.clock.advance(TIMEOUT + 1)
        for away in self.aways:
            away.run_late()
        self.fault(Fault.NONE)
        for daemon in self.daemons:
            asyncio.run(daemon.pay())
            assert daemon.unpaid == 0

    def used(self, limit: Charge = LIMIT) -> int:
        """Return what the store has counted."""
        return self.scripted.ask(Call(Op.PEEK, self.account, None, (limit,)), self.clock.now()).usages[0].used


@pytest.fixture
def site(scripted: Scripted) -> Site:
    """Return one daemon."""
    return Site(scripted)


def test_it_counts_on_from_what_it_saw(site: Site) -> None:
    """What is left of the limit is let through, no more; a refusal names the share."""
    assert all(site.rcpt(f"m{number}") for number in range(50))
    site.fault(Fault.DOWN)
    assert [site.rcpt(f"n{number}") for number in range(12)] == [True] * 10 + [False] * 2
    assert "this daemon's share of user is used up" in str(site.ask("last"))
    site.back()

    assert site.used() == site.used(EXACT) == 60


def test_why_it_is_counted_here(site: Site) -> None:
    """While the store is away its trouble is what each answer says; then, until all is paid back, that it is not."""
    site.fault(Fault.DOWN)
    away = [str(site.ask(f"m{number}")) for number in range(3)]
    site.fault(Fault.NONE)
    unpaid = str(site.ask("n"))
    site.back()

    refused = "store charge: cannot reach Redis: Connection refused; counted by this daemon"
    assert away == ["store charge: the link to Redis is down; counted by this daemon", refused, refused]
    assert unpaid == "store charge: the account has charges to pay back; counted by this daemon"
    assert not isinstance(site.ask("o"), StoreError)


def test_the_last_answer_counts(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """However few answers are kept as they came, each counter is what the last of them said."""
    monkeypatch.setattr("policyd.store.local.store._UNREAD", 1)
    senders = [(LIMIT, EXACT._replace(subject=name, max=100)) for name in ("alice", "bob", "carol")]
    for number in range(198):
        assert site.rcpt(f"m{number}", charges=senders[number % 3])
    site.fault(Fault.DOWN)

    assert [site.rcpt(f"n{number}", charges=(LIMIT,)) for number in range(3)] == [True, True, False]


def test_shares(scripted: Scripted) -> None:
    """Two daemons that saw the same state let no more through together than is left."""
    site = Site(scripted, daemons=2)
    for number in range(20):
        assert site.rcpt(f"m{number}", daemon=number % 2)
    site.fault(Fault.DOWN)
    through = [[site.rcpt(f"{daemon} {number}", daemon) for number in range(40)].count(True) for daemon in (0, 1)]
    site.back()

    assert through == [(60 - 19) // 2, (60 - 20) // 2]
    assert site.used() == 20 + sum(through)


def test_who_is_paid_back_is_told_of(site: Site) -> None:
    """What the store holds then of each of his counters, so that status knows him before he sends again."""
    site.fault(Fault.DOWN)
    for number in range(3):
        site.rcpt(f"m{number}")
    assert site.heard == []
    site.back()

    assert [[usage.used for usage in outcome.usages] for _, outcome in site.heard] == [[1, 1], [2, 2], [3, 3]]
    assert {(call.account, call.charges) for call, _ in site.heard} == {(site.account, BOTH)}


@pytest.mark.parametrize("up", [True, False])
def test_a_daemon_that_ends(site: Site, caplog: pytest.LogCaptureFixture, up: bool) -> None:
    """It pays what it can; of what is lost the log says how much, and whose it is."""
    caplog.set_level("INFO", "policyd.store")
    site.fault(Fault.DOWN)
    accounts = [site.account, *(account() for _ in range(6))]
    for number, site.account in enumerate(accounts):
        for message in range(8 - number):
            site.rcpt(f"m{number} {message}")
    if up:
        site.fault(Fault.NONE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("policyd.store.local.store.LAST_CHANCE", 20.0 if up else 0.01)
        asyncio.run(ended(site.daemons[0]))

    named = ", ".join(f"{name} {8 - number}" for number, name in enumerate(accounts[:5]))
    lost = f"35 charges of this daemon not paid back, and lost: {named} and 2 more accounts"
    paid = "what was let through without the store is paid back: 35 charges"
    assert caplog.messages == [paid if up else lost]


async def ended(daemon: LocalStore) -> None:
    """End a daemon."""
    await daemon.end(asyncio.create_task(daemon.run()))


def test_when_the_window_is_over(site: Site) -> None:
    """What was seen before the outage counts for a window, and so does what was let through in it."""
    assert all(site.rcpt(f"m{number}") for number in range(60))
    site.fault(Fault.DOWN)
    assert not site.rcpt("n0")
    site.clock.advance(61 * MINUTE)
    assert [site.rcpt(f"o{number}") for number in range(61)] == [True] * 60 + [False]
    site.clock.advance(61 * MINUTE)
    assert site.rcpt("p")


@pytest.mark.parametrize("jump", [DAY, -DAY])
def test_a_clock_of_the_host_that_jumps(scripted: Scripted, monkeypatch: pytest.MonkeyPatch, jump: int) -> None:
    """It ends no window, and prolongs none: what passes is what passes by the time of Redis."""
    host = Host(monkeypatch)
    site = Site(scripted, clock=SystemClock())
    assert all(site.rcpt(f"m{number}") for number in range(50))
    site.fault(Fault.DOWN)
    assert [site.rcpt(f"n{number}") for number in range(11)] == [True] * 10 + [False]
    host.jump(jump)
    assert not site.rcpt("o")
    for moved in (site.clock.advance, host.passes):
        moved(61 * MINUTE)
    assert [site.rcpt(f"p{number}") for number in range(61)] == [True] * 60 + [False]
    host.jump(-jump)
    assert not site.rcpt("q")


@pytest.mark.parametrize("fault", [Fault.LOST, Fault.LATE])
def test_a_call_that_was_given_up(site: Site, fault: Fault) -> None:
    """Whether it ran or comes late, its message is charged once for each recipient."""
    assert site.rcpt("m")
    site.fault(fault)
    assert [site.rcpt("m") for _ in range(3)] == [True] * 3
    site.back()
    assert site.used() == 4
    site.ask("m", Op.SETTLE, recipients=3)

    assert site.used() == 3


def test_what_postfix_asks_twice(site: Site) -> None:
    """A recipient that is asked for again is let through again, and charged once."""
    site.fault(Fault.DOWN)
    assert all(site.rcpt("m", fingerprint="RCPT x") for _ in range(100))
    site.back()

    assert site.used() == 1


def test_a_call_that_the_store_refused_and_nobody_heard(site: Site) -> None:
    """What is let through in spite of it is charged all the same."""
    assert site.rcpt("m")
    others = [Call(Op.CHARGE, site.account, Record("mx", f"x{number}", "RCPT", KEEP), BOTH) for number in range(59)]
    for other in others:
        site.scripted.ask(other, site.clock.now())
    site.fault(Fault.LOST)
    assert site.rcpt("m")
    site.back()

    assert site.used(EXACT) == 61


def test_settlement_and_give_back(site: Site) -> None:
    """The end of a message is paid after its recipients; a message that was given up makes room at once."""
    assert site.rcpt("a")
    site.fault(Fault.DOWN)
    assert [site.rcpt("a") for _ in range(3)] == [True] * 3
    site.ask("a", Op.SETTLE, recipients=2)
    assert [site.rcpt(f"b{number}") for number in range(56)] == [True] * 56
    assert not site.rcpt("c")
    assert site.rcpt("b0", fingerprint="last") is False
    site.ask("b0", Op.GIVE_BACK, fingerprint="none")
    assert site.rcpt("d", fingerprint="RCPT d")
    site.ask("d", Op.GIVE_BACK, fingerprint="RCPT d", charges=())
    site.back()

    assert site.used() == 2 + 56


def test_who_is_suspended_stays_so(site: Site) -> None:
    """Nothing is counted for who is suspended, as far as is known here."""
    site.suspended = True
    site.fault(Fault.DOWN)

    assert not site.rcpt("m")
    assert site.daemons[0].unpaid == 0


def test_a_raise_stands(site: Site) -> None:
    """A temporary maximum that was seen is the one that is counted by."""
    site.scripted.client.hset(f"policyd:1:{{{site.account}}}:state", "raise:user", f"5 {site.clock.now() + 9 * MINUTE}")
    assert site.rcpt("m")
    site.fault(Fault.DOWN)

    assert [site.rcpt(f"n{number}") for number in range(5)] == [True] * 4 + [False]


def test_paces_and_sizes(site: Site) -> None:
    """Of a pace each slot is taken once; a list that was too large stays so, another one flows."""
    pace = Charge(CounterType.PACE, "pace", "list", 1, 30_000, 6000)
    member = Member("1", 9, 0, 0)
    size = Charge(CounterType.SET, "size", "list", 1, 10, 7 * 24 * 60 * MINUTE, member=member)
    large = size._replace(subject="large", member=member._replace(known=11))
    assert site.rcpt("m", charges=(pace, size))
    site.ask("n", charges=(large,))
    site.fault(Fault.DOWN)
    assert not site.rcpt("a", charges=(pace,))
    site.clock.advance(6000)
    assert [site.rcpt(f"b{number}", charges=(pace, size)) for number in range(2)] == [True, False]
    assert not site.rcpt("c", charges=(large,))
    assert not site.rcpt("d", charges=(large._replace(subject="another"),))
    site.back()
    assert site.rcpt("e", charges=(pace,))


def test_bounds(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond so many unpaid charges, or accounts, mail waits."""
    accounts = counting.MOST_ACCOUNTS
    monkeypatch.setattr("policyd.store.local.store.MOST", 2)
    monkeypatch.setattr(counting, "MOST_ACCOUNTS", 1)
    site.fault(Fault.DOWN)
    assert site.rcpt("m")
    mine, site.account = site.account, account()
    assert not site.rcpt("n")
    site.account = mine
    assert [site.rcpt(f"o{number}") for number in range(2)] == [True, False]
    site.back()
    assert site.rcpt("p")
    assert (unpaid.MOST, accounts) == (1_000_000, 100_000)


def test_without_a_record(site: Site) -> None:
    """What belongs to no message is not counted: nobody could tell whether it was paid back."""
    site.fault(Fault.DOWN)
    answer = site.send(Call(Op.CHARGE, site.account, None, BOTH))

    assert isinstance(answer, StoreUnavailable)
    assert site.daemons[0].unpaid == 0


def test_paying_leaves_room_for_decisions(site: Site) -> None:
    """What is owed is paid in batches of 100 messages, each as long from the next as it took; others are served."""
    site.fault(Fault.DOWN)
    for number in range(1000):
        site.ask(f"m{number}", charges=(LIMIT._replace(max=1000),))
    running, most = set[str](), 0
    submit = site.aways[0].submit

    def later(call: Call, done: Done) -> None:
        nonlocal most
        assert call.record
        running.add(call.record.instance)
        most = max(most, len(running))

        def answer() -> None:
            running.discard(call.record.instance if call.record else "")
            submit(call, done)

        asyncio.get_running_loop().call_soon(answer)

    site.aways[0].submit = later  # type: ignore[method-assign]
    site.back()

    assert most == BATCH == 100


def test_accounts_that_get_no_answer_hold_up_no_other(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are tried after all that can be paid, and each of their messages is paid in its order."""
    monkeypatch.setattr("policyd.store.local.store.BATCH", 2)
    moved, healthy, daemon, submit = account(), account(), site.daemons[0], site.aways[0].submit
    messages = [(moved, "m0"), (healthy, "h0"), (moved, "m1"), (healthy, "h1"), (healthy, "h2")]
    asked = [(*message, "a") for message in messages] + [(moved, "m0", "b")]
    paid: list[tuple[str, str, str]] = []

    def half_moved(call: Call, done: Done) -> None:
        if call.account == moved:
            done(StoreUnavailable("charge", "TRYAGAIN"))
        else:
            taken(call, done)

    def taken(call: Call, done: Done) -> None:
        assert call.record
        paid.append((call.account, call.record.instance, call.record.fingerprint))
        submit(call, done)

    site.fault(Fault.DOWN)
    for name, message, fingerprint in asked:
        site.send(Call(Op.CHARGE, name, Record("mx", message, fingerprint, KEEP), (LIMIT,)))
    site.fault(Fault.NONE)
    monkeypatch.setattr(site.aways[0], "submit", half_moved)
    asyncio.run(daemon.pay())
    assert [name for name, _, _ in paid] == [healthy] * 3
    assert daemon.unpaid == 3
    monkeypatch.setattr(site.aways[0], "submit", taken)
    asyncio.run(daemon.pay())

    assert daemon.unpaid == 0
    assert sorted(paid) == sorted(asked)
    assert [fingerprint for _, message, fingerprint in paid if message == "m0"] == ["a", "b"]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("rcpt"), st.integers(0, 1), st.integers(0, 5)),
        st.tuples(st.just("again"), st.integers(0, 1), st.integers(0, 5)),
        st.tuples(st.just("end"), st.integers(0, 1), st.integers(0, 5)),
        st.tuples(st.just("give back"), st.integers(0, 1), st.integers(0, 5)),
        st.tuples(st.just("fault"), st.integers(0, 1), st.sampled_from(list(Fault)[1:])),
        st.tuples(st.just("back"), st.integers(0, 1), st.just(0)),
    ),
    max_size=60,
)


class Course(Site):
    """Two daemons whose messages are charged, asked for again, settled and given up while Redis comes and goes."""

    def __init__(self, scripted: Scripted) -> None:
        super().__init__(scripted, daemons=2)
        self.last: dict[str, str] = {}
        self.open: dict[tuple[int, int], str] = {}

    def step(self, what: str, daemon: int, which: int | Fault) -> None:
        """Do one thing."""
        self.clock.advance(1000)
        if isinstance(which, Fault):
            self.aways[daemon].fault = which
        elif what == "back":
            self.back()
        else:
            name = self.open.setdefault((daemon, which), f"m{next(self._numbers)}")
            self.of_message(what, daemon, which, name)

    def of_message(self, what: str, daemon: int, which: int, name: str) -> None:
        """Do one thing with a message."""
        if what == "rcpt":
            fingerprint = f"RCPT {next(self._numbers)}"
            if self.rcpt(name, daemon, fingerprint=fingerprint):
                self.last[name] = fingerprint
        elif what == "again" and name in self.last:
            self.ask(name, daemon=daemon, fingerprint=self.last[name])
        elif what == "end" and self.true.get(name):
            self.ask(name, Op.SETTLE, daemon, fingerprint="END", recipients=self.true[name])
            del self.open[daemon, which]
        elif what == "give back" and name in self.last:
            answer = self.ask(name, Op.GIVE_BACK, daemon, fingerprint=self.last[name], charges=())
            if isinstance(answer, StoreError) or answer.admitted:
                self.true[name] = 0
            del self.open[daemon, which]


@settings(max_examples=150)
@given(STEPS)
def test_whatever_is_lost_the_totals_are_right(scripted: Scripted, steps: list[tuple[str, int, int | Fault]]) -> None:
    """Each recipient that was let through is charged once, and nothing else is, whichever calls ran unheard."""
    course = Course(scripted)
    for step in steps:
        course.step(*step)
    course.back()
    # What was refused here may have been charged by a call that nobody heard: the end of the message mends it.
    for (daemon, _), name in course.open.items():
        course.ask(name, Op.SETTLE, daemon, fingerprint="END", recipients=course.true.get(name, 0))

    assert course.used() == course.used(EXACT) == sum(course.true.values())
