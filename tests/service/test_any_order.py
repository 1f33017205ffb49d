"""However messages are sent, resent, refused and given up: what stays charged is what was let through."""

from enum import StrEnum
from itertools import count
from typing import NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.config import asked
from tests.support.deciding import PATIENCE, Connection, Message, World

_accounts = (f"{number}.example.test" for number in count())


class Fate(StrEnum):
    """How a message ends."""

    SENT = "its end is asked"
    SENT_ELSEWHERE = "its end is asked on another connection"
    SENT_AFTER_RESTART = "its end is asked of the next daemon"
    SENT_AFTER_GIVE_BACK = "its end is asked when it was long given up"
    RESET = "the client resets"
    LOST = "its connection closes"
    CLOSED_BY_US = "policyd closes its connection"


class Story(NamedTuple):
    """One message. ``unknown`` of its recipients Postfix refuses after us; ``resent`` are asked twice."""

    recipients: int
    unknown: int
    unasked: int
    resent: frozenset[int]
    fate: Fate

    @property
    def counted(self) -> int:
        """What Postfix has as recipient_count."""
        return self.recipients - min(self.unknown, self.recipients) + self.unasked

    @property
    def charged(self) -> int:
        """What stays charged."""
        if self.fate is Fate.CLOSED_BY_US:
            return self.recipients
        return 0 if self.fate in {Fate.RESET, Fate.LOST} else self.counted


stories = st.builds(
    Story,
    recipients=st.integers(1, 4),
    unknown=st.integers(0, 2),
    unasked=st.integers(0, 1),
    resent=st.frozensets(st.integers(0, 3), max_size=2),
    fate=st.sampled_from(Fate),
)


def told(world: World, connection: Connection, story: Story, account: str) -> Connection:
    """Tell a story, and return the connection on which the next one may be told."""
    message = connection.message(sasl_username=f"a@{account}")
    for number in range(story.recipients):
        message.to(f"{number}@remote.test")
        if number in story.resent:
            message = message.on(world.connection())
            message.to(f"{number}@remote.test")
    return ended(world, message, story)


def ended(world: World, message: Message, story: Story) -> Connection:
    """End a message as its story says."""
    connection = message.connection
    if story.fate is Fate.RESET:
        connection.ask(asked(instance=world.instance()))
        return connection
    if story.fate in {Fate.LOST, Fate.CLOSED_BY_US, Fate.SENT_AFTER_GIVE_BACK}:
        connection.close(by_us=story.fate is Fate.CLOSED_BY_US)
        world.advance(PATIENCE)
    if story.fate is Fate.SENT_AFTER_RESTART:
        world.restart()
        world.shown()
    if story.fate is not Fate.SENT:
        connection = world.connection()
    if story.fate in {Fate.SENT, Fate.SENT_ELSEWHERE, Fate.SENT_AFTER_RESTART, Fate.SENT_AFTER_GIVE_BACK}:
        message.on(connection).end(story.counted)
    return connection


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(stories, min_size=1, max_size=12))
def test_what_stays_charged_is_what_was_let_through(world: World, told_stories: list[Story]) -> None:
    """After any messages on any connections the counter holds what Postfix queued, to the unit."""
    account = next(_accounts)
    world.shown()
    connection = world.connection()
    for story in told_stories:
        connection = told(world, connection, story, account)
    assert world.used(account=account) == sum(story.charged for story in told_stories)
