"""When a message was given up, and whose charges are then given back."""

from typing import Any

import pytest

from policyd.model import TrafficKind
from policyd.settlement import GIVEN_UP_IN_A_ROW, Kind
from tests.support.config import asked
from tests.support.messages import HOST, World, sent_by

PATIENCE = 202_000
FORGOTTEN = 7_200_000
KIND = Kind(HOST, "192.0.2.1", 587, "", TrafficKind.USER)


@pytest.fixture
def world() -> World:
    """Return messages of a kind that has shown an END-OF-MESSAGE."""
    made = World()
    connection = made.connection()
    made.recipient(connection, "shown")
    made.end(connection, "shown")
    return made


def test_a_new_instance_on_the_connection_gives_up_the_former_message(world: World) -> None:
    """RSET, and a new MAIL FROM after a refused DATA, show as a new instance."""
    connection = world.connection()
    world.recipient(connection, "m1")
    world.ask(connection, "m1")
    assert world.given_back == []
    world.recipient(connection, "m2")
    assert world.given_back == ["m1"]


def test_a_request_without_instance_gives_up_the_former_message(world: World) -> None:
    """Postfix has no instance before MAIL FROM, so a new SMTP session ends the message of the former."""
    connection = world.connection()
    world.recipient(connection, "m1")
    world.ask(connection, "", "CONNECT")
    assert world.given_back == ["m1"]


def test_a_completed_message_is_not_given_up(world: World) -> None:
    """After its END-OF-MESSAGE nothing happens to a message."""
    connection = world.connection()
    world.recipient(connection, "m1")
    world.end(connection, "m1")
    world.recipient(connection, "m2")
    world.end(connection, "m2")
    world.messages.closed(connection, PATIENCE)
    world.clock.advance(10 * PATIENCE)
    assert (world.given_back, world.remembered) == ([], 0)


def test_a_message_whose_connection_closed_is_given_up_after_the_patience(world: World) -> None:
    """QUIT and a dropped client show as a close, not a moment before Postfix could have asked twice."""
    connection = world.connection()
    world.recipient(connection, "m1")
    world.messages.closed(connection, PATIENCE)
    world.clock.advance(PATIENCE - 1)
    assert world.given_back == []
    world.clock.advance(1)
    assert (world.given_back, world.remembered) == (["m1"], 0)


def test_a_message_that_is_seen_again_in_time_goes_on(world: World) -> None:
    """A re-sent request on a new connection keeps the message, which then belongs to that one."""
    first, second = world.connection(), world.connection()
    world.recipient(first, "m1")
    world.messages.closed(first, PATIENCE)
    world.clock.advance(PATIENCE - 1)
    world.recipient(second, "m1")
    world.clock.advance(10 * PATIENCE)
    assert (world.given_back, world.remembered) == ([], 1)
    world.messages.closed(second, PATIENCE)
    world.clock.advance(PATIENCE)
    assert world.given_back == ["m1"]


def test_a_message_that_is_seen_too_late_begins_anew(world: World) -> None:
    """After the give-back the same instance is a new message."""
    first, second = world.connection(), world.connection()
    before = world.recipient(first, "m1")
    world.messages.closed(first, PATIENCE)
    world.clock.advance(PATIENCE)
    assert world.recipient(second, "m1") is not before
    assert world.given_back == ["m1"]
    world.recipient(second, "m2")
    assert world.given_back == ["m1", "m1"]


def test_a_close_that_policyd_makes_gives_nothing_up(world: World) -> None:
    """A close of our own says nothing about the message; it is only forgotten, long after."""
    connection = world.connection()
    world.recipient(connection, "m1")
    world.messages.closed_by_us(connection, FORGOTTEN)
    world.clock.advance(FORGOTTEN - 1)
    assert world.remembered == 1
    world.clock.advance(1)
    assert (world.given_back, world.remembered) == ([], 0)


def test_a_message_goes_on_after_a_close_that_policyd_makes(world: World) -> None:
    """Postfix asks again on a new connection; the message is neither lost nor given back."""
    first, second = world.connection(), world.connection()
    message = world.recipient(first, "m1")
    world.messages.closed_by_us(first, FORGOTTEN)
    assert world.recipient(second, "m1") is message
    world.clock.advance(2 * FORGOTTEN)
    assert (world.given_back, world.remembered) == ([], 1)


def test_a_request_that_is_sent_again_before_the_close_is_noticed_keeps_the_message(world: World) -> None:
    """The late close of the first connection does nothing to a message that goes on at the second."""
    first, second = world.connection(), world.connection()
    world.recipient(first, "m1")
    world.recipient(second, "m1")
    world.messages.closed(first, PATIENCE)
    world.clock.advance(10 * PATIENCE)
    assert (world.given_back, world.remembered) == ([], 1)
    world.end(second, "m1")
    assert world.remembered == 0


def test_one_message_may_be_asked_about_on_two_connections(world: World) -> None:
    """Entries with other policy_contexts have connections of their own; the end on one ends the message."""
    recipients, ends = world.connection(), world.connection()
    world.recipient(recipients, "m1", policy_context="rcpt")
    world.end(ends, "m1", policy_context="eom")
    world.recipient(recipients, "m2", policy_context="rcpt")
    world.end(ends, "m2", policy_context="eom")
    world.messages.closed(recipients, PATIENCE)
    world.messages.closed(ends, PATIENCE)
    world.clock.advance(10 * PATIENCE)
    assert (world.given_back, world.remembered) == ([], 0)


def test_the_end_on_another_connection_proves_the_kind_of_the_recipients(world: World) -> None:
    """With other policy_contexts at RCPT and at the end, give-back works for what was charged at RCPT."""
    recipients, ends = world.connection(), world.connection()
    world.recipient(recipients, "m1", policy_context="rcpt")
    world.end(ends, "m1", policy_context="eom")
    world.recipient(recipients, "m2", policy_context="rcpt")
    world.recipient(recipients, "m3", policy_context="rcpt")
    assert world.given_back == ["m2"]


def test_a_message_last_seen_on_one_connection_is_over_when_the_other_speaks_of_a_new_one(world: World) -> None:
    """Both connections are of one smtpd: after a rejected DATA on the second, the first tells of the next message."""
    recipients, others = world.connection(), world.connection()
    world.recipient(recipients, "m1")
    world.ask(others, "m1")
    world.messages.closed_by_us(others, FORGOTTEN)
    world.recipient(recipients, "m2")
    assert (world.given_back, world.clock.delays) == (["m1"], [])


def test_a_kind_that_never_showed_an_end_keeps_its_charges() -> None:
    """Without the check in smtpd_end_of_data_restrictions charges are final at RCPT."""
    world = World()
    connection = world.connection()
    for number in range(100):
        world.recipient(connection, f"m{number}")
    world.messages.closed(connection, PATIENCE)
    world.clock.advance(PATIENCE)
    assert (world.given_back, world.lost, world.remembered) == ([], [], 0)


@pytest.mark.parametrize(
    "other",
    [{"server_port": 25}, {"server_address": "192.0.2.2"}, {"policy_context": "local"}],
    ids=["port", "address", "context"],
)
def test_a_kind_is_one_way_by_which_mail_reaches_postfix(world: World, other: dict[str, Any]) -> None:
    """A port, address or entry that lacks the end-of-message check keeps its charges; the others do not."""
    lacks, has = world.connection(), world.connection()
    for instance in ("m1", "m2"):
        world.recipient(lacks, instance, **other)
        world.recipient(has, f"has-{instance}")
    assert world.given_back == ["has-m1"]


def test_two_hosts_and_two_kinds_of_traffic_are_two_kinds(world: World) -> None:
    """What one Postfix shows says nothing of another, nor one kind of traffic of another."""
    elsewhere, here = world.connection("192.0.2.99"), world.connection()
    world.recipient(elsewhere, "m1")
    world.recipient(elsewhere, "m2")
    script = asked(instance="s1")
    world.messages.opened(here, script, sent_by("example.org", TrafficKind.SCRIPT)).charged = True
    world.recipient(here, "s2")
    assert world.given_back == []


def test_hosts_may_use_one_instance_for_two_messages(world: World) -> None:
    """An instance is unique on its host only."""
    here, elsewhere = world.connection(), world.connection("192.0.2.99")
    assert world.recipient(here, "m1") is not world.recipient(elsewhere, "m1")
    world.end(elsewhere, "m1")
    assert world.remembered == 1


def test_a_message_that_was_never_charged_is_not_given_back(world: World) -> None:
    """Where nothing was charged there is nothing to undo, and nothing to count against the kind."""
    connection = world.connection()
    for number in range(GIVEN_UP_IN_A_ROW + 5):
        world.recipient(connection, f"m{number}").charged = False
    assert (world.given_back, world.lost) == ([], [])


def test_a_kind_that_stops_showing_ends_falls_back_to_final_and_says_so_once(world: World) -> None:
    """After 20 messages in a row without END-OF-MESSAGE nothing more is given back, until one is seen again."""
    connection = world.connection()
    for number in range(50):
        world.recipient(connection, f"m{number}")
    assert (len(world.given_back), world.lost) == (GIVEN_UP_IN_A_ROW, [KIND])
    world.end(connection, "m49")
    world.recipient(connection, "n1")
    world.recipient(connection, "n2")
    assert (len(world.given_back), world.lost) == (GIVEN_UP_IN_A_ROW + 1, [KIND])


def test_an_end_now_and_then_is_enough(world: World) -> None:
    """What counts is 20 in a row."""
    connection = world.connection()
    for number in range(100):
        world.recipient(connection, f"m{number}")
        if number % GIVEN_UP_IN_A_ROW == 0:
            world.end(connection, f"m{number}")
    assert (len(world.given_back), world.lost) == (94, [])


def test_many_that_are_lost_at_once_say_nothing_of_the_kind(world: World) -> None:
    """Messages that began before another one ended are given back, however many, and though no mail comes after."""
    lost = [world.connection() for _ in range(3 * GIVEN_UP_IN_A_ROW)]
    for number, connection in enumerate(lost):
        world.recipient(connection, f"m{number}")
    other = world.connection()
    world.recipient(other, "other")
    world.end(other, "other")
    for connection in lost:
        world.messages.closed(connection, PATIENCE)
    world.clock.advance(PATIENCE)
    assert (len(world.given_back), world.lost) == (len(lost), [])


def test_a_kind_says_where_it_is() -> None:
    """An admin reads which port of which host lacks the check."""
    assert str(KIND) == "user by 192.0.2.1:587 of mx.host.test"
    assert (
        str(KIND._replace(host="", policy_context="rcpt")) == "user by 192.0.2.1:587 of this host policy_context=rcpt"
    )


def test_a_message_whose_account_has_changed_begins_anew(world: World) -> None:
    """After a reload that moves the sender to another account, what the first was charged is given back."""
    connection = world.connection()
    before = world.recipient(connection, "m1")
    after = world.recipient(connection, "m1", account="example.net")
    assert after is not before
    assert (world.given_back, world.remembered, connection.message) == (["m1"], 1, after)


def test_nothing_is_given_back_once_charges_are_final(world: World) -> None:
    """A reload to ``settle: recipient`` forgets the open messages, those that wait for a second sight too."""
    waits, speaks = world.connection(), world.connection()
    world.recipient(waits, "m1")
    world.recipient(speaks, "m2")
    world.messages.closed(waits, PATIENCE)
    world.messages.forget()
    world.messages.closed(speaks, PATIENCE)
    assert world.clock.delays == []
    world.recipient(speaks, "m3")
    assert (world.given_back, world.remembered) == ([], 1)


def test_memory_does_not_grow_with_the_messages(world: World) -> None:
    """However messages end, they are forgotten."""
    for number in range(500):
        connection = world.connection()
        for instance in (f"{number}a", f"{number}b", f"{number}c"):
            world.recipient(connection, instance)
        if number % 2:
            world.end(connection, f"{number}c")
        (world.messages.closed_by_us if number % 3 else world.messages.closed)(connection, PATIENCE)
    world.clock.advance(PATIENCE)
    assert (world.remembered, len(world.messages._proofs), world.clock.delays) == (0, 1, [])


def test_what_is_known_of_kinds_is_bounded(world: World) -> None:
    """Ten thousand kinds are more than any site has; then all is learnt anew."""
    connection = world.connection()
    for port in range(12_000):
        world.end(connection, "m", server_port=port)
    assert len(world.messages._proofs) <= 10_000
