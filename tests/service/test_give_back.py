"""What was accepted at RCPT and never completed is given back, to the unit."""

from policyd.conf.schema import Exempt
from policyd.model import Action, Counts
from policyd.settlement import GIVEN_UP_IN_A_ROW
from policyd.store.base import Op
from tests.support.config import config, rate
from tests.support.deciding import PATIENCE, World

LOCAL = {"client_address": "127.0.0.1", "server_port": 25, "sasl_username": "", "sender": "www@example.org"}
"""A local script's mail."""


def test_rset_gives_back(world: World) -> None:
    """A client that resets and sends another message is charged for the other one only."""
    world.shown()
    connection = world.connection()
    connection.message().many(3)
    assert world.used() == 3
    other = connection.message()
    other.many(2)
    assert world.used() == 2
    other.end(2)
    assert (world.used(), len(world.heard.returned)) == (2, 1)


def test_quit_gives_back_when_the_smtpd_serves_its_next_client(world: World) -> None:
    """No QUIT is told of; the next client's message on its connection does."""
    world.shown()
    connection = world.connection()
    connection.message().many(3)
    connection.message(sasl_username="bob@example.net").many(1)
    assert (world.used(), world.used(account="example.net")) == (0, 1)


def test_a_connection_that_closes_gives_back_after_the_patience(world: World) -> None:
    """A dropped client, and a smtpd that ends, show as a close that is not followed by the same message."""
    world.shown()
    connection = world.connection()
    connection.message().many(3)
    connection.close()
    world.advance(PATIENCE - 1)
    assert world.used() == 3
    world.advance(1)
    assert world.used() == 0


def test_a_close_of_our_own_gives_nothing_back(world: World) -> None:
    """What became of a message whose connection policyd closed cannot be known."""
    world.shown()
    connection = world.connection()
    connection.message().many(3)
    connection.close(by_us=True)
    world.advance(2 * PATIENCE)
    assert world.used() == 3


def test_a_reject_at_data_gives_back(world: World) -> None:
    """A message that Postfix refuses at DATA has no end; the next one tells that it is over."""
    world.shown()
    connection = world.connection()
    refused = connection.message()
    refused.many(2)
    assert refused.data().action is Action.ACCEPT
    connection.message().many(1)
    assert world.used() == 1


def test_units_are_given_back_into_the_part_of_the_window_that_they_came_from(world: World) -> None:
    """What leaves the window later is what was charged later."""
    world.shown()
    connection = world.connection()
    done = connection.message()
    done.many(2)
    done.end(2)
    world.advance(1_800_000)
    connection.message().many(3)
    connection.message().many(1)
    assert world.used() == 3
    world.advance(1_860_000)
    assert world.used() == 1


def test_a_message_is_given_back_whatever_its_last_recipient_was(world: World) -> None:
    """A last recipient that was refused, or that costs nothing, does not keep the others charged."""
    world.config = config(rate(max=3), exempt=Exempt(recipients=("abuse@*",)))
    world.shown()
    connection = world.connection()
    connection.message().to("a@remote.test", "b@remote.test", "abuse@remote.test")
    answers = connection.message().to(
        "a@remote.test", "abuse@remote.test", "b@remote.test", "c@remote.test", "d@r.test"
    )
    assert (answers, world.used()) == ([Action.ACCEPT] * 4 + [Action.REJECT], 3)
    connection.message().to("abuse@remote.test")
    assert (world.used(), len(world.heard.returned)) == (0, 2)


def test_a_call_that_failed_does_not_keep_the_recipients_before_it_charged(world: World) -> None:
    """After a recipient that the store did not answer for, and did not charge, the rest is given back."""
    world.shown()
    connection = world.connection()
    message = connection.message()
    message.many(2)
    world.daemon.store.fail_next = True
    message.many(1)
    connection.message().many(1)
    assert world.used() == 1


def test_charges_that_policyd_does_not_know_of_stand(world: World) -> None:
    """When a charge was made and its answer lost, giving back would undo what it cannot tell apart."""
    world.shown()
    connection = world.connection()
    message = connection.message()
    message.many(2)
    world.daemon.store.lose_next = True
    message.many(1)
    connection.message().many(1)
    assert world.used() == 4


def test_messages_and_bytes_are_given_back_too(world: World) -> None:
    """A message that was given up counts nowhere."""
    world.config = config(rate(), rate("messages", counts=Counts.MESSAGES), rate("bytes", 10**6, counts=Counts.BYTES))
    world.shown()
    connection = world.connection()
    connection.message(size=4000).many(3)
    assert [world.used(limit) for limit in world.config.limits] == [3, 1, 4000]
    connection.message(sasl_username="bob@example.net").many(1)
    assert [world.used(limit) for limit in world.config.limits] == [0, 0, 0]


# an END-OF-MESSAGE after the give-back


def test_an_end_after_a_give_back_charges_again(world: World) -> None:
    """A message that was only thought lost is charged in the end, past the max if it must be."""
    world.config = config(rate(max=3))
    world.shown()
    connection = world.connection()
    message = connection.message()
    message.many(3)
    connection.close()
    world.advance(PATIENCE)
    assert (world.used(), world.connection().message().many(2)) == (0, [Action.ACCEPT] * 2)
    assert message.on(world.connection()).end(3).action is Action.ACCEPT
    assert (world.used(), world.heard.settlements[-1].unknown) == (5, True)


def test_a_message_that_goes_on_elsewhere_is_not_given_back(world: World) -> None:
    """A request that is sent again, before or after the close is noticed, keeps its message charged once."""
    world.shown()
    first = world.connection()
    message = first.message()
    message.to("a@remote.test", "b@remote.test")
    again = message.on(world.connection())
    again.to("b@remote.test")
    first.close()
    world.advance(2 * PATIENCE)
    assert world.used() == 2
    again.connection.close()
    world.advance(PATIENCE - 1)
    last = message.on(world.connection())
    last.to("c@remote.test")
    last.end(3)
    world.advance(2 * PATIENCE)
    assert (world.used(), world.heard.returned) == (3, [])


def test_a_message_that_went_on_at_another_daemon_is_not_given_back_by_the_first(world: World) -> None:
    """The first daemon sees its connection close; the other charged and settled the message meanwhile."""
    world.shown()
    other = world.start()
    first = world.connection()
    message = first.message()
    message.to("a@remote.test", "b@remote.test")
    again = message.on(world.connection(other))
    again.to("b@remote.test", "c@remote.test")
    first.close()
    world.advance(PATIENCE)
    assert (world.used(), world.heard.returned) == (3, [])
    again.end(3)
    assert world.used() == 3


# kinds of traffic that show no END-OF-MESSAGE


def test_a_kind_without_the_end_of_message_check_keeps_its_charges(world: World) -> None:
    """A wrong Postfix set-up must never become "no limit"."""
    connection = world.connection()
    for _ in range(5):
        connection.message().many(2)
    connection.close()
    world.advance(PATIENCE)
    assert (world.used(), world.ops) == (10, [Op.CHARGE] * 10)


def test_where_only_one_port_lacks_the_check_only_that_port_keeps_its_charges(world: World) -> None:
    """Port 25 shows the end of messages, the submission port does not."""
    world.shown(**LOCAL)
    submission, local = world.connection(), world.connection()
    for _ in range(3):
        submission.message().many(1)
        local.message(**LOCAL).many(1)
    submission.close()
    local.close()
    world.advance(PATIENCE)
    assert world.used() == 3


def test_a_kind_that_stops_showing_ends_keeps_its_charges_and_says_so(world: World) -> None:
    """After 20 messages in a row without an end the charges are final; the next end brings give-back back."""
    world.shown()
    connection = world.connection()
    for _ in range(30):
        connection.message().many(1)
    last = connection.message()
    last.many(1)
    assert (len(world.heard.returned), len(world.heard.lost)) == (GIVEN_UP_IN_A_ROW, 1)
    assert str(world.heard.lost[0]) == "user by 192.0.2.1:587 of mx.host.test"
    assert world.used() == 11
    last.end(1)
    connection.message().many(5)
    connection.message().many(1)
    assert world.used() == 12


# messages and accounts


def test_messages_of_two_accounts_are_given_back_each_to_its_own(world: World) -> None:
    """What one connection gives up is not taken from the account of its next message."""
    world.shown()
    one, other = world.connection(), world.connection()
    one.message().many(3)
    done = other.message(sasl_username="bob@example.net")
    done.many(2)
    one.message(sasl_username="bob@example.net").many(4)
    done.end(2)
    assert (world.used(), world.used(account="example.net")) == (0, 6)


def test_a_message_whose_account_changes_by_a_reload_is_charged_to_one_account(world: World) -> None:
    """What the former account was charged is given back when the message goes on under another."""
    world.shown()
    connection = world.connection()
    message = connection.message(sasl_username="alice")
    world.config = config(accounts={"default_domain": "example.org"})
    world.daemon.service.configure(world.config)
    message.many(2)
    world.daemon.service.configure(config(accounts={"default_domain": "example.net"}))
    message.many(1)
    message.end(3)
    assert (world.used(), world.used(account="example.net")) == (0, 3)


def test_nothing_is_given_back_after_a_reload_that_makes_charges_final(world: World) -> None:
    """With ``settle: recipient`` the end of a message is not noted, so none may be taken for given up."""
    world.shown()
    connection = world.connection()
    message = connection.message()
    message.many(3)
    world.daemon.service.configure(config(accounts={"settle_at_end": False}))
    assert message.end(3).action is Action.ACCEPT
    connection.message().many(1)
    connection.close()
    world.advance(PATIENCE)
    assert (world.used(), world.ops) == (4, [Op.CHARGE] * 4)
