"""A pace by delayed answers: each comes when its slot does, on a clock that the test moves."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from policyd.conf.away import WhenDown
from policyd.conf.bounds import DelayBounds
from policyd.conf.schema import StoreSettings
from policyd.model import Action, Charge, CounterType, Mode, Per, Verdict
from policyd.store.base import Call, Op
from tests.support.clock import START
from tests.support.config import asked, config, pace, rate
from tests.support.deciding import Daemon, World

EVERY = 6000
ROOMY = DelayBounds(max=20, per_account=20)
PACED = config(rate(), pace(), delay=ROOMY)


class Smtpd:
    """One smtpd of Postfix: asks about one recipient after the other, each when the one before is answered."""

    def __init__(self, world: World, daemon: Daemon | None = None, **changed: Any) -> None:
        self.world, self.connection = world, world.connection(daemon)
        self.changed = {"sasl_username": "alice@example.org", "instance": world.instance(), **changed}
        self.answers: list[tuple[int, str, Verdict | None]] = []

    def ask(self, *recipients: str) -> "Smtpd":
        """Ask about recipients, the first of them now."""
        self.begin(iter(recipients))
        settle(self.world)
        return self

    def begin(self, recipients: Iterator[str]) -> None:
        """Ask about the next of the recipients, which others may ask about too."""
        recipient = next(recipients, "")
        if not recipient:
            return

        def heard(verdict: Verdict | None) -> None:
            self.answers.append((self.world.clock.now() - START, recipient, verdict))
            self.begin(recipients)

        request = asked(recipient=recipient, **self.changed)
        self.connection.daemon.service.decide(self.connection.conversation, request, heard)

    @property
    def heard(self) -> list[tuple[int, Action | None]]:
        """When it was answered, from the start on, and how."""
        return [(at, verdict and verdict.action) for at, _, verdict in self.answers]


def settle(world: World) -> None:
    """Wait until the store has answered all that it was asked, and was asked because of that."""
    before = -1
    while before != len(world.ops):
        before = len(world.ops)
        for daemon in world.daemons:
            world.run(daemon.store.redis.ask(Call(Op.PEEK, "example.org", None, ())))


def pass_by(world: World, milliseconds: int) -> None:
    """Let time pass, one slot after the other."""
    for _ in range(0, milliseconds, EVERY):
        world.advance(EVERY)
        settle(world)


def next_slot(world: World, account: str = "example.org", subject: str = "") -> int:
    """Return how long the next slot is away, in ms."""
    charge = Charge(CounterType.PACE, "list-pace", subject or account, 1, 30_000, EVERY)
    outcome = world.run(world.daemon.store.redis.ask(Call(Op.PEEK, account, None, (charge,))))
    return outcome.usages[0].used


@pytest.mark.parametrize("connections", [1, 5])
def test_what_is_fired_at_once_passes_at_one_per_slot(world: World, connections: int) -> None:
    """20 recipients over 1 and over 5 connections: none is refused, and all pass in the order of asking."""
    world.config = PACED
    recipients = [f"r{number}@remote.test" for number in range(20)]
    smtpds, queue = [Smtpd(world) for _ in range(connections)], iter(recipients)
    for smtpd in smtpds:
        smtpd.begin(queue)
    settle(world)
    pass_by(world, 20 * EVERY)
    answers = sorted((answer for smtpd in smtpds for answer in smtpd.answers), key=lambda answer: answer[0])
    assert [(at, recipient) for at, recipient, _ in answers] == [(n * EVERY, recipients[n]) for n in range(20)]
    actions = [verdict and verdict.action for _, _, verdict in answers]
    assert actions == [Action.ACCEPT, *[Action.DELAY] * 19]
    assert world.used() == 20


def test_others_are_not_slowed(world: World) -> None:
    """A pace per user leaves a colleague alone, and one of its account other accounts."""
    world.config = config(pace(per=Per.USER), delay=ROOMY)
    Smtpd(world).ask(*"abc")
    colleague = Smtpd(world, sasl_username="bob@example.org").ask("x")
    stranger = Smtpd(world, sasl_username="carol@example.net").ask("x")
    assert (colleague.heard, stranger.heard) == ([(0, Action.ACCEPT)], [(0, Action.ACCEPT)])


def test_a_slot_that_is_too_far_away_is_deferred_and_not_taken(world: World) -> None:
    """Beyond delay_up_to the answer is 450 at once, with when to come again, and costs nothing."""
    world.config = PACED
    waiting = [Smtpd(world).ask("a") for _ in range(6)]
    refused = Smtpd(world).ask("a", "b")
    assert refused.heard == [(0, Action.DEFER)] * 2
    verdict = refused.answers[0][2]
    assert verdict is not None
    expected = "Limit list-pace: one recipient each 6s, and 6 wait already; mail flows again at "
    assert verdict.text.startswith(f"{expected}2026-05-28T20:26:46+00:00; ref ")
    assert (next_slot(world), world.used()) == (36_000, 6)
    pass_by(world, 30_000)
    assert [smtpd.heard[0][0] for smtpd in waiting] == [0, 6000, 12_000, 18_000, 24_000, 30_000]


def test_over_defer_waits_for_nothing(world: World) -> None:
    """A pace with over: defer lets one through in each slot, and never delays."""
    world.config = config(pace(over=Action.DEFER))
    smtpd = Smtpd(world).ask(*"abc")
    assert smtpd.heard == [(0, Action.ACCEPT), (0, Action.DEFER), (0, Action.DEFER)]
    pass_by(world, EVERY)
    assert Smtpd(world).ask("d").heard == [(EVERY, Action.ACCEPT)]


@pytest.mark.parametrize("site", [config(pace(), mode=Mode.OBSERVE), config(pace(mode=Mode.OBSERVE))])
def test_mode_observe_delays_nothing(world: World, site: Any) -> None:
    """It is evaluated, and every answer is given at once."""
    world.config = site
    assert Smtpd(world).ask(*"abcdefgh").heard == [(0, Action.ACCEPT)] * 8


# bounds


def test_one_account_has_only_so_many_places(world: World) -> None:
    """Beyond delay.per_account 450, no slot is taken for it, and another account still has its own."""
    world.config = config(pace(), delay=DelayBounds(max=20, per_account=2))
    heard = [Smtpd(world).ask("a").heard for _ in range(4)]
    assert heard == [[(0, Action.ACCEPT)], [], [], [(0, Action.DEFER)]]
    verdict = Smtpd(world).ask("b").answers[0][2]
    assert verdict is not None
    assert "no more answers can wait for their turn; mail flows again at 2026-05-28T20:26:58+00:00" in verdict.text
    assert next_slot(world) == 18_000
    other = [Smtpd(world, sasl_username="carol@example.net").ask("a").heard for _ in range(2)]
    assert other == [[(0, Action.ACCEPT)], []]


def test_a_daemon_has_only_so_many_places(world: World) -> None:
    """delay.max holds for all accounts together."""
    world.config = config(pace(), delay=DelayBounds(max=1, per_account=2))
    Smtpd(world).ask("a", "b")
    assert len(world.daemon.service.delays) == 1
    assert Smtpd(world, sasl_username="carol@example.net").ask("a", "b").heard == [
        (0, Action.ACCEPT),
        (0, Action.DEFER),
    ]


def test_the_bounds_hold_when_all_ask_in_the_same_moment(world: World) -> None:
    """A place is taken before the store is asked: what is under way counts."""
    world.config = config(pace(delay_up_to=60_000), delay=DelayBounds(max=3, per_account=3))
    smtpds = [Smtpd(world) for _ in range(10)]
    for smtpd in smtpds:
        smtpd.begin(iter("a"))
    settle(world)
    assert len(world.daemon.service.delays) <= 3
    assert {action for smtpd in smtpds for _, action in smtpd.heard} == {Action.ACCEPT, Action.DEFER}


def test_a_place_is_free_again(world: World) -> None:
    """When the slot came, when another limit refused, and when the store failed."""
    world.config = config(rate(max=3), pace(), delay=DelayBounds(max=1, per_account=1))
    Smtpd(world).ask("a", "b")
    pass_by(world, EVERY)
    world.daemon.store.fail_next = True
    assert Smtpd(world).ask("c").heard == [(EVERY, Action.ACCEPT)]
    delayed = Smtpd(world).ask("d", "e")
    pass_by(world, EVERY)
    assert delayed.heard == [(2 * EVERY, Action.DELAY), (2 * EVERY, Action.REJECT)]
    assert world.daemon.service.delays.take("example.org")


# what may happen meanwhile


def test_a_lost_connection_keeps_its_slot(world: World) -> None:
    """Postfix that asks again, on another connection, waits for the slot that it has; it is charged once."""
    world.config = PACED
    Smtpd(world).ask("a")
    lost = Smtpd(world).ask("b")
    lost.connection.close()
    Smtpd(world).ask("c")
    world.advance(2000)
    again = Smtpd(world, instance=lost.changed["instance"]).ask("b")
    assert (again.heard, next_slot(world)) == ([], 16_000)
    world.advance(4000)
    assert again.heard == [(EVERY, Action.DELAY)]
    assert world.used() == 3


def test_an_answer_that_was_lost_is_given_again_at_once(world: World) -> None:
    """A request that is repeated when its slot is past does not wait."""
    world.config = PACED
    delayed = Smtpd(world).ask("a", "b")
    pass_by(world, 2 * EVERY)
    again = Smtpd(world, instance=delayed.changed["instance"]).ask("b")
    assert again.heard == [(2 * EVERY, Action.ACCEPT)]


def test_a_daemon_that_ends_lets_its_answers_go(world: World) -> None:
    """There is no answer, so Postfix asks the next daemon, which waits for the same slot."""
    world.config = PACED
    delayed = Smtpd(world).ask("a", "b")
    world.daemon.service.delays.end()
    assert delayed.heard == [(0, Action.ACCEPT), (0, None)]
    late = Smtpd(world).ask("c")
    assert late.heard == [(0, None)]
    world.restart()
    again = Smtpd(world, instance=delayed.changed["instance"]).ask("b")
    pass_by(world, EVERY)
    assert again.heard == [(EVERY, Action.DELAY)]
    assert world.used() == 3


def test_a_store_that_fails_meanwhile_changes_nothing(world: World) -> None:
    """The slot is in hand, and the answer comes with it."""
    world.config = PACED
    delayed = Smtpd(world).ask("a", "b")
    world.run(world.daemon.store.redis.close())
    world.advance(EVERY)
    assert delayed.heard == [(0, Action.ACCEPT), (EVERY, Action.DELAY)]
    world.daemons.clear()


@pytest.mark.parametrize("when_down", [WhenDown.ACCEPT, WhenDown.DEFER])
def test_without_a_store_nothing_is_paced(world: World, when_down: WhenDown) -> None:
    """Who asks while it is down hears what store.when_down says, at once."""
    world.config = replace(PACED, store=StoreSettings(when_down=when_down))
    world.daemon.store.fail_next = True
    assert Smtpd(world).ask("a").heard == [(0, Action(when_down))]


def test_a_reload_changes_no_answer_that_waits(world: World) -> None:
    """It comes at its slot; the new bounds are for those that ask from then on."""
    world.config = PACED
    delayed = Smtpd(world).ask("a", "b")
    world.daemon.service.configure(config(rate(), pace(), delay=DelayBounds(max=1, per_account=1)))
    refused = Smtpd(world).ask("c")
    pass_by(world, EVERY)
    assert (delayed.heard[1], refused.heard) == ((EVERY, Action.DELAY), [(0, Action.DEFER)])


def test_a_message_is_not_paced_again_at_its_end(world: World) -> None:
    """END-OF-MESSAGE is answered at once, and takes no slot."""
    world.config = PACED
    smtpd = Smtpd(world).ask("a", "b")
    pass_by(world, EVERY)
    ended = asked(protocol_state="END-OF-MESSAGE", recipient="", recipient_count=2, **smtpd.changed)
    assert smtpd.connection.ask(ended).action is Action.ACCEPT
    assert next_slot(world) == EVERY


def test_a_message_that_was_given_up_frees_its_newest_slot(world: World) -> None:
    """The smtpd whose client hung up while it waited serves its next one."""
    world.shown()
    world.config = PACED
    world.daemon.service.configure(PACED)
    smtpd = Smtpd(world).ask("a", "b")
    pass_by(world, EVERY)
    smtpd.changed["instance"] = world.instance()
    smtpd.changed["sasl_username"] = "carol@example.net"
    smtpd.ask("c")
    settle(world)
    assert next_slot(world) == 0


def test_a_whole_message_waits_at_its_end(world: World) -> None:
    """With charge_at: end-of-message it passes at its first slot, and takes as many as it has recipients."""
    world.config = config(pace(), delay=ROOMY, accounts={"charge_at_end": True, "settle_at_end": False})
    at_end: dict[str, Any] = {"protocol_state": "END-OF-MESSAGE", "recipient_count": 4}
    first, second = Smtpd(world, **at_end).ask("a"), Smtpd(world, **at_end).ask("a")
    pass_by(world, 4 * EVERY)
    assert (first.heard, second.heard) == ([(0, Action.ACCEPT)], [(4 * EVERY, Action.DELAY)])


def test_the_recorder_hears_of_a_delay_when_it_begins(world: World) -> None:
    """The verdict names the pace, and the outcome its slot."""
    world.config = PACED
    Smtpd(world).ask("a", "b")
    verdict, outcome = world.heard.verdicts[-1], world.heard.outcomes[-1]
    assert verdict == Verdict(Action.DELAY, charge=1)
    assert outcome is not None
    assert outcome.usages[1].fits_at == START + EVERY
