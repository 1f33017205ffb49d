"""Strangers whom list software answers, under the shipped plan: they make no list too large, and no mailing."""

from collections.abc import Iterator
from itertools import count

import pytest

from policyd.conf.schema import Config
from policyd.model import Action
from tests.service.test_sizes import HOUR, OPENS, is_too_large, on
from tests.support.clock import START
from tests.support.deciding import World

SOFTWARE = {"sasl_username": "", "client_address": "127.0.0.1", "policy_context": "mailman"}


@pytest.fixture
def ports() -> Iterator[int]:
    """Return the client ports of connections."""
    return count(20_000)


def answer(world: World, stranger: str, port: int, *, verp: bool) -> list[Action]:
    """Send what Mailman answers to one post, as it does: a message of its own over a connection of its own."""
    sender = f"news-bounces+{stranger.replace('@', '=')}@example.org" if verp else "news-bounces@example.org"
    message = world.connection().message(**SOFTWARE, sender=sender, client_port=port)
    heard = message.to(stranger)
    message.end(1)
    return heard


@pytest.mark.parametrize("verp", [False, True], ids=["one-sender", "verp"])
def test_1001_strangers_leave_a_list_open(
    world: World, shipped: Config, ports: Iterator[int], verp: bool
) -> None:
    """Whom forged posts name; the list mails its 30 members as before, at any hour."""
    world.config = on(shipped, slack=0)
    for number in range(1001):
        assert answer(world, f"s{number}@strangers.test", next(ports), verp=verp) == [Action.ACCEPT]
    assert not is_too_large(world)
    world.advance(2 * HOUR)
    assert not is_too_large(world)


@pytest.mark.parametrize("verp", [False, True], ids=["one-sender", "verp"])
def test_a_list_that_is_too_large_answers_all_the_same(
    world: World, shipped: Config, ports: Iterator[int], verp: bool
) -> None:
    """Confirmations, notices to the owner and rejections flow at any hour, however many."""
    world.config = on(shipped, known=5000)
    assert is_too_large(world)
    for number in range(60):
        assert answer(world, f"s{number}@strangers.test", next(ports), verp=verp) == [Action.ACCEPT]
    world.advance(2 * HOUR)
    assert is_too_large(world)


def test_a_mailing_with_one_recipient_in_each_message_counts(world: World, shipped: Config) -> None:
    """VERP: one connection, a message and a sender for each member."""
    world.config = on(shipped, slack=0)
    world.advance(OPENS - START)
    smtpd = world.connection()
    for number in range(1001):
        sender = f"news-bounces+m{number}=remote.test@example.org"
        message = smtpd.message(**SOFTWARE, sender=sender, client_port=30_000)
        assert message.to(f"m{number}@remote.test") == [Action.ACCEPT]
        message.end(1)
    world.advance(2 * HOUR)
    assert is_too_large(world)
