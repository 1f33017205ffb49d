"""One connection of the Postfix server against a transport of the test's own."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from policyd.server.connection import STUCK, PostfixConnection
from policyd.server.postfix import PostfixServer
from policyd.wire.postfix import MAX_BUFFERED
from tests.support.policy import request
from tests.support.policyserver import LOCAL_HOST, HeldDecider, WatchedClock, reply_for
from tests.support.transport import FakeTransport

PIECES = st.one_of(
    st.sampled_from([request(recipient=name) for name in "abc"] + [request()[:300], request()[300:], request() * 3]),
    st.binary(max_size=5),
)


class World:
    """A connection with all its surroundings."""

    def __init__(self) -> None:
        self.decider, self.clock = HeldDecider(), WatchedClock()
        self.server = PostfixServer(self.decider, self.clock, LOCAL_HOST)
        self.connection = PostfixConnection(self.server)
        self.transport = FakeTransport()
        self.connection.connection_made(self.transport)


def test_mapped_address() -> None:
    """A client that reaches an IPv6 socket over IPv4 has its IPv4 address."""
    assert World().decider.hosts == ["192.0.2.9"]


def test_reading_stops_while_a_request_waits() -> None:
    """While one request is outstanding the next ones stay with the client, and come after the answer."""
    world = World()
    world.connection.data_received(request())
    first = world.transport.reading
    world.connection.data_received(request())
    second = world.transport.reading
    world.decider.respond(0)
    third = world.transport.reading
    world.decider.respond(1)

    assert (first, second, third, len(world.decider.asked)) == (True, False, True, 2)


def test_no_requests_while_answers_are_unread() -> None:
    """While the client does not read, it is asked about nothing; when it reads, all goes on."""
    world = World()
    world.connection.pause_writing()
    world.connection.data_received(request())
    before = (len(world.decider.asked), world.transport.reading, world.clock.delays)
    world.connection.resume_writing()

    assert before == (0, False, [STUCK])
    assert (len(world.decider.asked), world.transport.reading, world.clock.delays) == (1, True, [])


def test_answers_that_nobody_reads_end_with_the_connection() -> None:
    """A connection that is closed with unsent answers is dropped when they stay unread."""
    world = World()
    world.transport.unsent = 100
    world.connection.close()
    before = world.transport.aborted
    world.clock.advance(STUCK)

    assert (before, world.transport.aborted) == (False, True)


def test_flood_while_a_request_waits() -> None:
    """A transport that goes on delivering although told to stop is cut off before the memory fills."""
    world = World()
    world.connection.data_received(request())
    world.connection.data_received(b"x" * MAX_BUFFERED)
    before = world.transport.closing
    world.connection.data_received(b"x")

    assert (before, world.transport.closing) == (False, True)


class Conversations(RuleBasedStateMachine):
    """Whatever a client and the decider do, in whatever order, each request has at most one reply."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.answered = 0
        self.ended = self.lost = self.unread = False

    @property
    def open(self) -> bool:
        """Whether the connection is neither lost nor closing."""
        return not self.lost and not self.world.transport.closing

    @precondition(lambda self: self.open and not self.ended and self.world.transport.reading)
    @rule(data=PIECES)
    def client_sends(self, data: bytes) -> None:
        """Deliver bytes."""
        self.world.connection.data_received(data)

    @precondition(lambda self: len(self.world.decider.asked) > self.answered)
    @rule(verdict=st.booleans())
    def decider_answers(self, *, verdict: bool) -> None:
        """Answer what is outstanding, or say that it cannot be answered; also when the client is gone."""
        number, self.answered = self.answered, self.answered + 1
        if verdict:
            self.world.decider.respond(number)
        else:
            self.world.decider.asked[number][1](None)

    @precondition(lambda self: self.answered)
    @rule()
    def decider_answers_again(self) -> None:
        """Answer once more what was answered."""
        self.world.decider.respond(self.answered - 1)

    @precondition(lambda self: self.open and not self.unread)
    @rule()
    def client_stops_to_read(self) -> None:
        """Leave answers unread."""
        self.unread = True
        self.world.connection.pause_writing()

    @precondition(lambda self: self.open and self.unread)
    @rule()
    def client_reads_again(self) -> None:
        """Read what was left."""
        self.unread = False
        self.world.connection.resume_writing()

    @precondition(lambda self: self.open and not self.ended and self.world.transport.reading)
    @rule()
    def client_ends(self) -> None:
        """End the client's side; the loop closes the transport unless it is told to keep it."""
        self.ended = True
        if not self.world.connection.eof_received():
            self.world.transport.close()

    @rule()
    def server_finishes(self) -> None:
        """Begin to drain."""
        if not self.lost:
            self.world.connection.finish()

    @precondition(lambda self: not self.lost)
    @rule()
    def connection_is_lost(self) -> None:
        """End the connection, as the loop does after a close or a reset."""
        self.lost = self.world.transport.closing = True
        self.world.connection.connection_lost(None)

    @rule()
    def time_passes(self) -> None:
        """Let a minute pass."""
        self.world.clock.advance(60_000)

    @invariant()
    def one_reply_for_one_request(self) -> None:
        """Check that replies come in the order of requests, never more than were answered, one outstanding."""
        asked = [found.recipient for found, _ in self.world.decider.asked]
        assert len(asked) - self.answered in {0, 1}
        replies = self.world.transport.written
        assert replies == [reply_for(name) for name in asked[: len(replies)]]
        assert len(replies) <= self.answered
        if self.open:
            assert len(replies) == self.answered

    @invariant()
    def one_end(self) -> None:
        """Check that the decider hears of the end exactly once."""
        assert len(self.world.decider.closes) == int(self.lost)
        assert self.world.server.connections == int(not self.lost)


Conversations.TestCase.settings = settings(max_examples=150, stateful_step_count=30)
TestConversations = Conversations.TestCase
