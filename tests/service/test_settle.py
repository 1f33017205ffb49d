"""At END-OF-MESSAGE a message's receipts come to the number of recipients that Postfix counted, exactly."""

import pytest

from policyd.conf.schema import Exempt
from policyd.model import Action, Counts, Recipients, TrafficKind
from policyd.store.base import Op
from tests.support.config import MAILMAN, config, rate
from tests.support.deciding import World

REMOTE = rate("remote-hourly", recipients=Recipients.REMOTE)
MIXED = config(rate(), REMOTE, exempt=Exempt(recipients=("abuse@*", "postmaster@*")))
"""Exempt recipients, hosted ones that one limit leaves out, and others."""


def test_a_complete_message_is_charged_for_its_recipients(world: World) -> None:
    """One call for each recipient and one for the end; the count is that of Postfix."""
    message = world.connection().message()
    assert message.many(3) == [Action.ACCEPT] * 3
    assert message.data().action is Action.ACCEPT
    assert message.end(3).action is Action.ACCEPT
    assert (world.used(), world.ops) == (3, [Op.CHARGE] * 3 + [Op.SETTLE])


def test_an_unknown_recipient_that_postfix_refused_after_us_is_given_back(world: World) -> None:
    """Postfix looks whether a mailbox exists after it has asked; its recipient_count is smaller."""
    message = world.connection().message()
    message.many(5)
    message.end(2)
    assert world.used() == 2


def test_a_bare_postmaster_is_charged_past_the_max(world: World) -> None:
    """``RCPT TO:<postmaster>`` is never asked, and counts in recipient_count; settling never refuses."""
    world.config = config(rate(max=2))
    message = world.connection().message()
    message.many(2)
    assert message.end(3).action is Action.ACCEPT
    assert world.used() == 3


def test_a_duplicate_recipient_counts_as_postfix_counts_it(world: World) -> None:
    """The same address twice is two recipients, whether twice in a row or not."""
    message = world.connection().message()
    message.to("a@remote.test", "a@remote.test", "b@remote.test", "a@remote.test")
    message.end(4)
    assert world.used() == 4


def test_a_restart_between_recipient_and_end_changes_nothing(world: World) -> None:
    """The record of a message is in the store, not in the daemon."""
    message = world.connection().message()
    message.many(3)
    world.restart()
    message.on(world.connection()).end(2)
    assert (world.used(), world.heard.settlements[-1].unknown) == (2, False)


def test_an_end_that_is_asked_twice_settles_once(world: World) -> None:
    """A repeated END-OF-MESSAGE, here or at another daemon, charges nothing more."""
    message = world.connection().message()
    message.many(2)
    message.end(5)
    message.end(5)
    message.on(world.connection()).end(5)
    message.on(world.connection(world.start())).end(5)
    assert world.used() == 5
    assert [outcome.repeated for outcome in world.heard.settlements] == [False, True, True]


def test_an_end_on_a_connection_of_its_own_settles(world: World) -> None:
    """Entries with another policy_context at the end of a message have their own connection."""
    message = world.connection().message(policy_context="rcpt")
    message.many(3)
    message.on(world.connection(), policy_context="eom").end(2)
    assert world.used() == 2


def test_the_end_is_charged_like_its_recipients_whatever_its_own_context_says(world: World) -> None:
    """A context that makes recipients list traffic need not be repeated in the entry for the end."""
    world.config = config(rate(), rate("list-share", traffic=[TrafficKind.LIST]), lists=MAILMAN)
    said = {"sasl_username": "", "sender": "news-bounces@example.org"}
    message = world.connection().message(policy_context="mailman", **said)
    message.many(4)
    message.on(world.connection(), policy_context="").end(3)
    assert [world.used(limit) for limit in world.config.limits] == [3, 3]


def test_a_message_without_a_record_is_charged_in_the_end(world: World) -> None:
    """What was let through while the store did not answer is charged once it does."""
    message = world.connection().message()
    world.daemon.store.fail_next = True
    assert message.many(1) == [Action.ACCEPT]
    message.end(1)
    assert (world.used(), world.heard.settlements[-1].unknown) == (1, True)


def test_an_answer_that_was_lost_is_settled(world: World) -> None:
    """Whether a charge whose answer was lost had been made or not, the end comes to the right number."""
    message = world.connection().message()
    world.daemon.store.lose_next = True
    message.many(1)
    world.daemon.store.fail_next = True
    message.many(2)
    message.end(3)
    assert world.used() == 3


def test_an_end_that_the_store_does_not_answer_leaves_the_charges(world: World) -> None:
    """Postfix is told to go on, and the charges of RCPT stand."""
    message = world.connection().message()
    message.many(3)
    world.daemon.store.fail_next = True
    assert message.end(2).action is Action.ACCEPT
    assert (world.used(), world.heard.failures[-1][0].action) == (3, Action.ACCEPT)


def test_messages_and_bytes_are_settled_to_one_message_of_its_real_size(world: World) -> None:
    """SIZE= is a claim; the end of the message knows."""
    world.config = config(rate(), rate("messages", counts=Counts.MESSAGES), rate("bytes", 10**6, counts=Counts.BYTES))
    for declared, real in ((4000, 6700), (0, 300), (9000, 10)):
        message = world.connection().message(size=declared)
        message.many(2)
        message.end(2, size=real)
    assert [world.used(limit) for limit in world.config.limits] == [6, 3, 7010]


# recipients that cost nothing, among others


@pytest.mark.parametrize(
    ("recipients", "counted", "expected"),
    [
        (["a@remote.test", "abuse@remote.test", "b@remote.test"], 3, (2, 2)),
        (["a@remote.test", "bob@example.net", "b@remote.test"], 3, (3, 2)),
        (
            ["bob@example.net", "abuse@remote.test", "a@remote.test", "al@example.net", "postmaster@remote.test"],
            5,
            (3, 1),
        ),
        (["bob@example.net", "al@example.net"], 2, (2, 0)),
        (["bob@example.net", "al@example.net"], 3, (3, 1)),
        (["abuse@remote.test", "postmaster@remote.test"], 2, (0, 0)),
        (["abuse@remote.test", "a@remote.test", "abuse@remote.test"], 3, (1, 1)),
        (["abuse@remote.test", "abuse@example.net"], 3, (1, 1)),
    ],
    ids=[
        "exempt",
        "hosted",
        "both",
        "hosted only",
        "hosted and a bare postmaster",
        "exempt only",
        "exempt twice",
        "exempt and a bare postmaster",
    ],
)
def test_recipients_that_cost_nothing_are_left_out(
    world: World, recipients: list[str], counted: int, expected: tuple[int, int]
) -> None:
    """Exempt recipients and those that a limit does not look at are in Postfix's count, and in no charge."""
    world.config = MIXED
    message = world.connection().message()
    assert message.to(*recipients) == [Action.ACCEPT] * len(recipients)
    message.end(counted)
    assert (world.used(), world.used("remote-hourly")) == expected


@pytest.mark.parametrize("spared", ["abuse@remote.test", "bob@example.net"], ids=["exempt", "hosted"])
def test_refused_recipients_do_not_pay_for_others(world: World, spared: str) -> None:
    """Recipients that cost nothing and are refused by Postfix after us buy no free recipients.

    Postfix's count says neither that they were refused nor which ones.
    """
    world.config = MIXED
    message = world.connection().message()
    message.to(
        *(f"{number}.{spared}" if spared[0] == "b" else spared.replace("@", f"+{number}@") for number in range(9))
    )
    message.many(10)
    message.end(10)
    assert world.used("remote-hourly") == 10


def test_refused_recipients_do_not_pay_for_messages_and_bytes(world: World) -> None:
    """The same for what is charged once for a message."""
    remote = Recipients.REMOTE
    limits = (
        rate("messages", counts=Counts.MESSAGES, recipients=remote),
        rate("bytes", counts=Counts.BYTES, recipients=remote),
    )
    world.config = config(*limits)
    message = world.connection().message()
    message.to(*(f"{number}@example.net" for number in range(5)), "a@remote.test")
    message.end(2, size=100)
    assert [world.used(limit) for limit in world.config.limits] == [1, 100]


def test_a_message_left_with_one_recipient_that_costs_nothing_is_given_back(world: World) -> None:
    """When Postfix names the only recipient that is left, and he is exempt, the refused ones cost nothing."""
    world.config = MIXED
    message = world.connection().message()
    message.to("a@remote.test", "abuse@remote.test", "b@remote.test")
    message.end(1, "abuse@remote.test")
    assert (world.used(), world.used("remote-hourly"), len(world.heard.returned)) == (0, 0, 1)


def test_a_message_left_with_one_hosted_recipient_costs_a_remote_limit_nothing(world: World) -> None:
    """The only recipient that is left is charged where a limit looks at him."""
    world.config = MIXED
    message = world.connection().message()
    message.to("a@remote.test", "bob@example.net")
    message.end(1, "bob@example.net")
    assert (world.used(), world.used("remote-hourly")) == (1, 0)


# what Postfix holds


def test_what_postfix_holds_is_not_charged(world: World) -> None:
    """A script that is quarantined over its limit is not let through, and its window opens again in time."""
    world.config = config(rate(max=3, over={TrafficKind.SCRIPT: Action.QUARANTINE}))
    script = {"client_address": "127.0.0.1", "sasl_username": "", "sender": "www@example.org"}
    connection = world.connection()
    let_through = connection.message(**script)
    let_through.many(2)
    let_through.end(2)
    for answers in ([Action.ACCEPT, Action.QUARANTINE], [Action.QUARANTINE] * 2, [Action.QUARANTINE] * 2):
        held = connection.message(**script)
        assert held.many(2) == answers
        held.end(2)
        assert world.used() == 3


# numbers that Postfix never sends


def test_a_message_without_instance_is_charged_once(world: World) -> None:
    """Without an instance there is no message to settle: what was charged at RCPT is final."""
    message = world.connection().message(instance="")
    message.to("a@remote.test", "b@remote.test")
    message.end(2)
    message.connection.close()
    assert (world.used(), world.ops) == (2, [Op.CHARGE] * 2)


@pytest.mark.parametrize("limit", [rate(max=400), rate(max=100)], ids=["ring", "log"])
def test_an_absurd_recipient_count_is_bounded(world: World, limit: object) -> None:
    """A number of 15 digits neither keeps Redis busy nor turns its counter over."""
    world.config = config(limit)  # type: ignore[arg-type]
    message = world.connection().message()
    message.many(1)
    message.end(10**15 - 1)
    assert world.used() == 1_000_000


def test_an_end_without_recipients_costs_nothing(world: World) -> None:
    """A recipient_count of 0 gives all back."""
    message = world.connection().message()
    message.many(3)
    message.end(0)
    assert world.used() == 0
