"""The server that Postfix asks: it accepts connections, ends idle ones, and drains.

stop_accepting -> drain (answer what was asked, close what is idle, drop the rest at the deadline)
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from typing import Generic

from policyd.clock import Clock, Timer
from policyd.errors import ProtocolError
from policyd.server.base import Conversation, Decider, Throttle, serve_on
from policyd.server.connection import PostfixConnection
from policyd.server.crowd import Crowd

IDLE_LIMIT = 1_100_000
"""A connection without a request for so long is closed, in ms. Postfix's own max_ttl is 1,000 s."""

LEAST_IDLE_LIMIT = 300_000
"""Postfix keeps idle connections for 300 s (smtpd_policy_service_max_idle); an earlier close costs it a second."""

MOST_CONNECTIONS = 4096
"""Each may hold a request that is not complete (64 KiB), and what was read with it (256 KiB)."""

_ROUNDS = 10

_logger = logging.getLogger(__name__)


class PostfixServer(Generic[Conversation]):
    """Serves policy requests on any number of listening sockets."""

    def __init__(
        self,
        decider: Decider[Conversation],
        clock: Clock,
        local_host: str,
        idle_limit: int = IDLE_LIMIT,
        *,
        malformed: Callable[[], None] = lambda: None,
        crowd: Crowd | None = None,
    ) -> None:
        """Let ``decider`` answer. ``local_host`` names this host, where clients of unix sockets are.

        ``idle_limit`` is in ms and at least LEAST_IDLE_LIMIT; up to a tenth more passes before a close.
        ``malformed`` is called for each connection that is closed because its peer broke the protocol.
        ``crowd`` bounds how many there are at once.
        """
        if idle_limit < LEAST_IDLE_LIMIT:
            raise ValueError(f"idle_limit is {idle_limit} ms, below {LEAST_IDLE_LIMIT}")
        self.decider, self.clock, self.local_host = decider, clock, local_host
        self._round = idle_limit // _ROUNDS
        self._servers: list[asyncio.AbstractServer] = []
        self._crowd = crowd or Crowd("postfix", MOST_CONNECTIONS, clock)
        self._connections: set[PostfixConnection[Conversation]] = set()
        self._silent: dict[PostfixConnection[Conversation], None] = {}
        self._empty = asyncio.Event()
        self._empty.set()
        self._rounds: Timer | None = None
        self._draining = False
        self._dropped = 0
        self._throttle, self._on_malformed = Throttle(clock), malformed

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    async def serve(self, sockets: Sequence[socket.socket]) -> None:
        """Accept connections on listening sockets, which then belong to the server."""
        for sock in sockets:
            self._servers.append(await serve_on(sock, self._new_connection))
        self._rounds = self._rounds or self.clock.call_later(self._round, self._idle_round)

    def stop_accepting(self) -> None:
        """Close the listening sockets. Connections stay."""
        while self._servers:
            self._servers.pop().close()

    async def drain(self, deadline: int) -> int:
        """Accept no more, answer what was asked, close all connections; what is left after ``deadline`` ms is dropped.

        Return how many were dropped.
        """
        self.stop_accepting()
        self._draining = True
        for connection in tuple(self._connections):
            connection.finish()
        late = self.clock.call_later(deadline, self._drop_rest)
        try:
            await self._empty.wait()
        finally:
            late.cancel()
            if self._rounds is not None:
                self._rounds.cancel()
        return self._dropped

    # What connections call

    def joined(self, connection: PostfixConnection[Conversation]) -> None:
        """Note a new connection; one that was accepted just before the drain is closed.

        Of too many, the oldest that has asked nothing yet is closed: Postfix asks as soon as it has connected.
        """
        if len(self._connections) >= self._crowd.most:
            oldest = next(iter(self._silent), None)
            which = "the new one" if oldest is None else "the oldest that has asked nothing"
            closed = oldest or connection
            self._crowd.too_many(which, closed.peer)
            closed.abort()
        self._connections.add(connection)
        self._silent[connection] = None
        self._empty.clear()
        if self._draining:
            connection.finish()

    def left(self, connection: PostfixConnection[Conversation]) -> None:
        """Note that a connection is gone."""
        self._connections.discard(connection)
        self._silent.pop(connection, None)
        if not self._connections:
            self._empty.set()

    def spoke(self, connection: PostfixConnection[Conversation]) -> None:
        """Note the first request of a connection."""
        self._silent.pop(connection, None)

    def malformed(self, host: str, peer: str, error: ProtocolError) -> None:
        """Count that a peer broke the protocol, and warn once in a while for each host."""
        self._on_malformed()
        held = self._throttle.passes(host)
        if held is not None:
            more = f" ({held} more from there since the last warning)" if held else ""
            _logger.warning("closed a connection from %s (%s): %s%s", host, peer, error, more)

    def _new_connection(self) -> PostfixConnection[Conversation]:
        return PostfixConnection(self)

    def _idle_round(self) -> None:
        for connection in tuple(self._connections):
            connection.idle_round(_ROUNDS)
        self._rounds = self.clock.call_later(self._round, self._idle_round)

    def _drop_rest(self) -> None:
        self._dropped = len(self._connections)
        for connection in tuple(self._connections):
            connection.abort()
