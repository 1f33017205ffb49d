"""The thin link to Redis: one socket, a write for each loop tick and for each few commands, a FIFO of waiters.

redis-py's own connection is four times slower on this path (bench/micro.py); it is used for
everything else. The link knows no keys and no policy.

    CONNECTING  the first contact, or the one attempt right after a loss: commands wait for it
    UP          commands are sent
    STALLED     a command got no answer in time: new ones fail at once until Redis answers again
    DOWN        no connection: commands fail at once; a new attempt follows with backoff

No command waits longer than its deadline in any state. A command that may run twice is sent again
when the connection is lost before its answer came.
"""

import asyncio
import contextlib
import logging
import os
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from enum import Enum
from typing import Any, NamedTuple, cast

import hiredis

from policyd.errors import PolicydError, StoreTimeout, StoreUnavailable

_WORTH_A_WRITE = 8
"""So many commands are sent at once: Redis works on them while the daemon reads what else has come."""

_BACKOFF = (0.05, 0.1, 0.2, 0.5, 1.0)

_NONE = -1  # no socket

Args = tuple[bytes | str, ...]
Reply = Callable[[Any], None]
Connect = Callable[[Callable[[], asyncio.Protocol]], Awaitable[tuple[asyncio.Transport, asyncio.Protocol]]]


class State(Enum):
    """The states of a link; see the module."""

    CONNECTING = "connecting"
    UP = "up"
    STALLED = "stalled"
    DOWN = "down"
    CLOSED = "closed"


class Greeting(NamedTuple):
    """The commands that make a fresh connection ready, asked for each time, and who hears their replies.

    ``failed`` makes of why it cannot be made what people are told.
    """

    commands: Callable[[], Sequence[Args]]
    heard: Callable[[list[Any]], None]
    failed: Callable[[str], str] = str


class _Waiter:
    __slots__ = ("args", "deadline", "done", "op", "repeatable")

    def __init__(self, op: str, args: Args, deadline: float, done: Reply, *, repeatable: bool) -> None:
        self.op, self.args, self.deadline, self.done, self.repeatable = op, args, deadline, done, repeatable


def _ignore(_: object) -> None:
    """Hear a reply that came too late for its waiter."""


class Link(asyncio.Protocol):
    """One connection to one Redis, made again whenever it is lost. ``timeout`` is in seconds."""

    def __init__(self, connect: Connect, greeting: Greeting, timeout: float, on_state: Callable[[State], None]) -> None:
        self._connect, self._greeting, self._timeout, self._on_state = connect, greeting, timeout, on_state
        self._loop = asyncio.get_running_loop()
        self._log = logging.getLogger("policyd.store")
        self.state = State.CONNECTING
        self._transport: asyncio.Transport | None = None
        self._reader, self._farewell = hiredis.Reader(), ""
        self._waiters: deque[_Waiter] = deque()
        self._held: list[_Waiter] = []
        self._out: list[bytes] = []
        self._told: set[str] = set()  # why this outage goes on
        self.trouble = ""  # and what was found last
        self._socket = _NONE
        self._timer: asyncio.TimerHandle | None = None
        self._task = self._loop.create_task(self._connected_again())

    def submit(self, op: str, args: Args, done: Reply, *, repeatable: bool, deadline: float = 0.0) -> None:
        """Send a command; ``done`` gets its reply or a StoreError, once.

        It waits no longer than the timeout; ``deadline`` (loop time) is for a second try, which
        has only what the first one left of it.
        """
        waiter = _Waiter(op, args, deadline or self._loop.time() + self._timeout, done, repeatable=repeatable)
        if self.state is State.UP:
            self._send(waiter)
        elif self.state is State.CONNECTING:
            self._held.append(waiter)
        else:
            done(StoreUnavailable(op, f"the link to Redis is {self.state.value}"))
            return
        if self._timer is None:
            self._timer = self._loop.call_at(waiter.deadline, self._expire)

    def renew(self) -> None:
        """Give the connection up for a fresh one, which may lead to another Redis."""
        if self._transport is not None and self.state in {State.UP, State.STALLED}:
            self._transport.abort()
            self.connection_lost(None)

    async def close(self) -> None:
        """Close the connection for good; who still waits gets StoreUnavailable."""
        self._enter(State.CLOSED)
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        if self._transport is not None:
            self._transport.abort()
        self._fail_all("the link was closed")
        if self._timer is not None:
            self._timer.cancel()

    # sending

    def _send(self, waiter: _Waiter) -> None:
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(hiredis.pack_command(waiter.args))  # type: ignore[arg-type]  # its stub knows no variadic tuple
        self._waiters.append(waiter)
        if len(self._out) >= _WORTH_A_WRITE:
            self._write_now()

    def _write_now(self) -> None:
        """Write past the transport, which waits for the end of the tick, where nothing waits in it and it is no TLS."""
        transport = self._transport
        if transport is None or transport.is_closing() or self._socket == _NONE or transport.get_write_buffer_size():
            return
        data = b"".join(self._out)
        self._out.clear()
        try:
            written = os.write(self._socket, data)
        except OSError:  # full, or lost: the transport knows what to do
            written = 0
        if written < len(data):
            transport.write(data[written:])

    def _flush(self) -> None:
        if self._transport is not None and self._out:
            self._transport.write(b"".join(self._out))
        self._out.clear()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start a fresh conversation."""
        self._transport, self._reader, self._farewell = cast("asyncio.Transport", transport), hiredis.Reader(), ""
        plain = transport.get_extra_info("sslcontext") is None
        self._socket = transport.get_extra_info("socket").fileno() if plain else _NONE

    def data_received(self, data: bytes) -> None:
        """Hand each reply to who waits for it, in order."""
        if self.state is State.STALLED:
            self._enter(State.UP)
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not False:
            if not self._waiters:
                # Nobody asked: Redis says why it is about to hang up (too many clients).
                self._farewell = str(reply)
                return
            self._waiters.popleft().done(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        """Hold what may be sent again, fail the rest, and connect again at once."""
        if self._transport is None:
            return
        self._transport = None
        self._out.clear()
        lost, self._waiters = self._waiters, deque()
        if self.state is State.CLOSED:
            self._held.extend(lost)
            return
        if self.state in {State.UP, State.STALLED}:
            self._enter(State.CONNECTING)
            self._task = self._loop.create_task(self._connected_again())
        why = f"connection lost: {exc or self._farewell or 'closed by Redis'}"
        for waiter in lost:
            if not waiter.repeatable:
                waiter.done(StoreUnavailable(waiter.op, why))
            elif waiter.done is not _ignore:
                self._held.append(waiter)

    # connecting

    async def _connected_again(self) -> None:
        attempt = 0
        while True:
            try:
                async with asyncio.timeout(max(self._timeout, 1.0)):
                    await self._greet()
            except (OSError, ValueError, PolicydError, hiredis.HiredisError) as error:  # ValueError: no host name
                self._give_up(error)
            else:
                return
            await asyncio.sleep(_BACKOFF[min(attempt, len(_BACKOFF) - 1)])
            attempt += 1

    async def _greet(self) -> None:
        await self._connect(lambda: self)
        replies = [await self._ask(command) for command in self._greeting.commands()]
        self._greeting.heard(replies)
        self._enter(State.UP)
        self._told.clear()
        self.trouble = ""
        held, self._held = self._held, []
        for waiter in held:
            self._send(waiter)

    async def _ask(self, command: Args) -> Any:  # noqa: ANN401  # whatever Redis says
        if self._transport is None:
            raise StoreUnavailable("connect", self._farewell or "closed by Redis")
        future: asyncio.Future[Any] = self._loop.create_future()

        def heard(reply: object) -> None:
            if not future.done():
                future.set_result(reply)

        self._send(_Waiter("connect", command, float("inf"), heard, repeatable=False))
        reply = await future
        if isinstance(reply, Exception):
            raise reply
        return reply

    def _give_up(self, error: Exception) -> None:
        if self._transport is not None:
            transport, self._transport = self._transport, None
            transport.abort()
        said = error.why if isinstance(error, StoreUnavailable) else str(error) or "no answer in time"
        why = self._greeting.failed(said)
        self.trouble = why
        if why not in self._told:
            self._told.add(why)
            self._log.error("cannot reach Redis: %s; trying again until it answers", why)
        self._enter(State.DOWN)
        self._fail_all(f"no connection: {why}")

    # deadlines

    def _expire(self) -> None:
        self._timer = None
        now = self._loop.time()
        live = [w for w in (*self._waiters, *self._held) if w.done is not _ignore and w.op != "connect"]
        overdue = [w for w in live if w.deadline <= now]
        if overdue and self.state is State.UP:
            self._enter(State.STALLED)
        self._held = [w for w in self._held if w.deadline > now]
        for waiter in overdue:
            done, waiter.done = waiter.done, _ignore
            done(StoreTimeout(waiter.op, self._timeout))
        rest = [w.deadline for w in live if w.deadline > now]
        if rest:
            self._timer = self._loop.call_at(min(rest), self._expire)
        elif self.state is State.STALLED and self._transport is not None:
            # Nobody waits on this connection any more, and it may be dead: start a fresh one.
            self._transport.abort()

    def _fail_all(self, why: str) -> None:
        failed, self._waiters, self._held = [*self._waiters, *self._held], deque(), []
        for waiter in failed:
            waiter.done(StoreUnavailable(waiter.op, why))

    def _enter(self, state: State) -> None:
        if state is not self.state:
            self.state = state
            self._on_state(state)
