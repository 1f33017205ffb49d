"""One connection of an smtpd: requests in, one answer for each, in order.

Postfix keeps a connection for as long as an smtpd lives (max_idle 300 s, max_ttl 1,000 s) and has
one request outstanding on it (attr_clnt.c). A close between two requests of an SMTP session costs
that session a second, so nothing is closed after an answer.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Generic, Protocol, cast

from policyd.clock import Clock, Timer
from policyd.errors import ProtocolError
from policyd.model import PolicyRequest, Verdict
from policyd.server.base import Conversation, Decider, peer_host, peer_name
from policyd.wire.postfix import PolicyConnection, reply_to

STUCK = 30_000
"""How long a client may leave answers unread before its connection is dropped, in ms."""

_UNREAD = 65_536  # bytes of answers a client may leave unread before no more of its requests are taken

_logger = logging.getLogger(__name__)


class Home(Protocol[Conversation]):
    """The server that connections belong to."""

    decider: Decider[Conversation]
    clock: Clock
    local_host: str

    def joined(self, connection: "PostfixConnection[Conversation]") -> None:
        """Note a new connection."""

    def left(self, connection: "PostfixConnection[Conversation]") -> None:
        """Note that a connection is gone."""

    def spoke(self, connection: "PostfixConnection[Conversation]") -> None:
        """Note the first request of a connection."""

    def malformed(self, host: str, peer: str, error: ProtocolError) -> None:
        """Note that a peer broke the protocol."""


class PostfixConnection(asyncio.Protocol, Generic[Conversation]):
    """One connection: at most one request outstanding, exactly one answer for each.

    What a client sends meanwhile waits: up to one read in the codec, then in the kernel.
    """

    _transport: asyncio.Transport
    _conversation: Conversation
    _host: str

    def __init__(self, home: Home[Conversation]) -> None:
        self._home = home
        self._codec = PolicyConnection()
        self._asked = 0
        self._answered = 0
        self._taking = False
        self._unread = False
        self._reading = True
        self._last = False
        self._peer_ended = False
        self._by_us = False
        self._quiet = 0
        self._stuck: Timer | None = None

    # What the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin a conversation."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_UNREAD)
        self._host = peer_host(transport, self._home.local_host)
        self._conversation = self._home.decider.opened(self._host)
        self._home.joined(self)

    def data_received(self, data: bytes) -> None:
        """Take what the client sent."""
        try:
            self._codec.receive(data)
        except ProtocolError as error:
            self._malformed(error)
            return
        self._take()

    def eof_received(self) -> bool:
        """Note that nothing more will come; what was asked is still answered."""
        self._last = self._peer_ended = True
        return self._asked != self._answered or self._unread

    def pause_writing(self) -> None:
        """Take no more requests while the client does not read its answers."""
        self._unread = True
        self._limit_flush()

    def resume_writing(self) -> None:
        """Go on: the client has read."""
        self._unread = False
        self._forget_stuck()
        self._take()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  how it ended changes nothing
        """End the conversation. An answer that comes later is dropped."""
        self._forget_stuck()
        self._home.left(self)
        self._home.decider.closed(self._conversation, by_us=self._by_us)

    # What the server calls

    @property
    def peer(self) -> str:
        """Who is at the other end, for the log."""
        return peer_name(self._transport)

    def finish(self) -> None:
        """Close as soon as everything that was received is answered."""
        self._last = True
        self._flow()

    def close(self) -> None:
        """Close now, without answering anything more; answers already written are still sent."""
        if not self._transport.is_closing():
            self._by_us = True
            self._transport.close()
            if self._transport.get_write_buffer_size():
                self._limit_flush()

    def abort(self) -> None:
        """Drop the connection with all that was not sent."""
        self._by_us = self._by_us or not self._peer_ended
        self._transport.abort()

    def idle_round(self, most: int) -> None:
        """Close the connection when it had no answer for more than ``most`` rounds in succession."""
        self._quiet = 0 if self._asked != self._answered else self._quiet + 1
        if self._quiet > most:
            self.close()

    # Requests and answers

    def _take(self) -> None:
        if self._taking:
            return
        self._taking = True
        try:
            while self._asked == self._answered and not self._unread and not self._transport.is_closing():
                request = self._codec.next_request()
                if request is None:
                    break
                self._ask(request)
        except ProtocolError as error:
            self._malformed(error)
        finally:
            self._taking = False
        self._flow()

    def _ask(self, request: PolicyRequest) -> None:
        self._asked += 1
        if self._asked == 1:
            self._home.spoke(self)
        respond: Callable[[Verdict | None], None] = partial(self._answer, self._asked)
        try:
            self._home.decider.decide(self._conversation, request, respond)
        except Exception:
            _logger.exception("closed a connection of %s: its request could not be decided", self._host)
            self.close()

    def _answer(self, number: int, verdict: Verdict | None) -> None:
        if number != self._asked or number == self._answered:
            _logger.error("dropped a second answer to one request of %s", self._host)
            return
        self._answered = number
        self._quiet = 0
        if self._transport.is_closing():
            return
        if verdict is None:
            self.close()
            return
        self._transport.write(reply_to(verdict))
        if self._codec.buffered or self._last or not self._reading:
            self._take()

    def _flow(self) -> None:
        """Read unless bytes wait that cannot be looked at yet; end when the last request is answered."""
        if self._transport.is_closing():
            return
        waiting = self._asked != self._answered or self._unread
        if self._last and not waiting:
            self._end()
            return
        wanted = not (waiting and self._codec.buffered)
        if wanted != self._reading:
            self._reading = wanted
            (self._transport.resume_reading if wanted else self._transport.pause_reading)()

    def _end(self) -> None:
        if self._peer_ended:
            self._transport.close()
        else:
            self.close()

    def _malformed(self, error: ProtocolError) -> None:
        if not self._transport.is_closing():
            self._home.malformed(self._host, self.peer, error)
            self.close()

    # A client that does not read

    def _limit_flush(self) -> None:
        if self._stuck is None:
            self._stuck = self._home.clock.call_later(STUCK, self.abort)

    def _forget_stuck(self) -> None:
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None
