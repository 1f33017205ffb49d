"""The store in Redis: calls become commands of the thin link, replies become outcomes."""

import asyncio
import logging
import re
from collections.abc import Callable
from functools import partial
from secrets import token_hex
from time import monotonic
from typing import Any, NamedTuple, cast

import hiredis

from policyd.clock import Clock
from policyd.errors import StoreError, StoreTimeout, StoreUnavailable
from policyd.model import Outcome
from policyd.store import keys
from policyd.store.base import Call, Done, Op
from policyd.store.choose import topology
from policyd.store.link import Args
from policyd.store.node import Terms
from policyd.store.script import LATE, Script, decode, encode
from policyd.store.server import Server
from policyd.store.topology import Turn

_UNDATED = frozenset({Op.GIVE_BACK, Op.PEEK})
"""Operations that charge nothing: never too late, and harmless when they run twice."""

_PROBE = b"index:probe"
_TIME = b"return redis.call('TIME')"
_WRITE = b"return redis.call('SET', KEYS[1], '', 'PX', 60000)"
_PLACE = re.compile(r"ERR Error running script .*: -| script: .*")
"""Where in a script a command was refused, as Redis 6 and 7 write it around the refusal."""

_log = logging.getLogger("policyd.store")


class _Asked(NamedTuple):
    call: Call
    done: Done
    started: float
    deadline: float


class _Attempt(NamedTuple):
    asked: _Asked
    args: tuple[bytes, ...]
    turn: Turn
    second: bool


class Watch(NamedTuple):
    """Who hears how the store does: the seconds of each answer, and whether it answers at all."""

    answered: Callable[[float], None]
    up: Callable[[bool], None]


class RedisStore:
    """A Store in Redis. ``timeout`` is in ms; ``clock`` decides whose time is counted by."""

    def __init__(self, server: Server, timeout: int, clock: Clock, watch: Watch) -> None:
        self._script = Script()
        self._seed = token_hex(16).encode()
        self._clock, self._timeout = clock, timeout / 1000
        self._watch, self._said_up = watch, cast("bool | None", None)
        self._refusal = ""
        self._loop = asyncio.get_running_loop()
        self._topology = topology(server, Terms(self._script.text, self._timeout, self._state_changed))

    @property
    def up(self) -> bool:
        """Whether Redis answered last time it was asked, in time, and takes what is written."""
        return self._topology.up and not self._refusal

    @property
    def trouble(self) -> str:
        """Why Redis does not count, "" while it does."""
        if not self._topology.up:
            found = (node.trouble for node in self._topology.nodes if node.trouble)
            return f"cannot reach Redis: {next(found, 'no node of it is known yet')}"
        return self._refusal and f"Redis refuses to count: {self._refusal}"

    @property
    def breaker_open(self) -> bool:
        """Whether calls to some Redis fail at once, since one got no answer in time and no trial has had one since."""
        return any(node.breaker.open for node in self._topology.nodes)

    @property
    def sentinels_up(self) -> int | None:
        """How many sentinels named the master when they were asked last, None where there are none to be asked."""
        return self._topology.sentinels_up

    def submit(self, call: Call, done: Done) -> None:
        """Send a call; ``done`` gets the Outcome, or a StoreError after at most the timeout."""
        node = self._topology.node(keys.tag(call.account))
        if node.breaker.open:
            done(StoreUnavailable(call.op.value, "Redis gave no answer in time, and is not asked until it does"))
            return
        # Deadlines are in the time of the loop, which lags while callbacks run; what is measured is not.
        asked = _Asked(call, done, monotonic(), self._loop.time() + self._timeout)
        self._submit(asked, Turn(node))

    async def ask(self, call: Call) -> Outcome:
        """Return the Outcome of a call that nobody waits for in Postfix.

        Raises StoreError when Redis does not answer.
        """
        future: asyncio.Future[Outcome] = self._loop.create_future()

        def done(outcome: Outcome | StoreError) -> None:
            if future.done():
                return
            if isinstance(outcome, StoreError):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

        self.submit(call, done)
        return await future

    async def command(self, *args: str | bytes | int) -> Any:  # noqa: ANN401  # as many types as Redis has replies
        """Return the reply to one plain command, for the index and for admins.

        Raises StoreError when Redis does not answer or refuses.
        """
        words = tuple(str(arg) if isinstance(arg, int) else arg for arg in args)
        key, deadline = _key(words), self._loop.time() + self._timeout
        turn = Turn(self._topology.node(key))
        while isinstance(reply := await self._reply(words, turn, deadline), hiredis.ReplyError):
            again = self._topology.turn(key, str(reply))
            if again is None or self._loop.time() + again.pause >= deadline:
                raise StoreUnavailable("command", _words(reply))
            turn = again
            await asyncio.sleep(turn.pause)
        if isinstance(reply, StoreError):
            raise reply
        return reply

    async def time(self) -> int:
        """Return what time it is at Redis, in ms; of a cluster, always at the same of its nodes. Raises StoreError."""
        seconds, micros = await self.command("EVAL", _TIME, 1, keys.PREFIX + _PROBE)
        return int(seconds) * 1000 + int(micros) // 1000

    async def probe(self) -> None:
        """Find out whether Redis answers and takes what a script writes. Raises StoreError when it does not."""
        try:
            for key in self._topology.everywhere(_PROBE):
                await self._written(keys.PREFIX + key)
        except StoreUnavailable as error:
            if self._topology.up:
                self._note_refusal(error.why)
            raise
        self._note_refusal("")

    async def _written(self, key: bytes) -> None:
        try:
            await self.command("EVAL", _WRITE, 1, key)
        except StoreTimeout:
            self._topology.node(key).timed_out()
            raise

    async def close(self) -> None:
        """Close all links; calls under way get StoreUnavailable."""
        await self._topology.close()

    async def _reply(self, words: Args, turn: Turn, deadline: float) -> Any:  # noqa: ANN401  # see command
        future: asyncio.Future[Any] = self._loop.create_future()

        def done(reply: object) -> None:
            if not future.done():
                future.set_result(reply)

        if turn.asking:
            turn.node.asking("command", deadline, repeatable=False)
        turn.node.link.submit("command", words, done, repeatable=False, deadline=deadline)
        return await future

    def _submit(self, asked: _Asked, turn: Turn, second: bool = False) -> None:
        explicit, call = self._clock.store_now(), asked.call
        not_after = 0 if explicit or call.op in _UNDATED else turn.node.clock.deadline(asked.deadline)
        args = self._topology.declared(encode(call, explicit, not_after, self._seed))
        self._send(_Attempt(asked, args, turn, second), b"EVALSHA", self._script.sha)

    def _send(self, attempt: _Attempt, command: bytes, script: bytes) -> None:
        (call, _, _, deadline), turn = attempt.asked, attempt.turn
        repeatable = call.op in _UNDATED or bool(call.record and call.record.instance)
        if turn.asking:
            turn.node.asking(call.op, deadline, repeatable=repeatable)
        words, heard = (command, script, *attempt.args), partial(self._heard, attempt)
        turn.node.link.submit(call.op, words, heard, repeatable=repeatable, deadline=deadline)

    def _heard(self, attempt: _Attempt, reply: Any) -> None:  # noqa: ANN401  # as many types as Redis has replies
        if not isinstance(reply, list):
            self._failed(attempt, reply)
            return
        asked, now = attempt.asked, monotonic()
        if not self._clock.store_now():
            attempt.turn.node.clock.heard(int(reply[1]), now)
        if reply[0] == LATE:
            self._late(attempt)
            return
        self._watch.answered(now - asked.started)
        asked.done(decode(asked.call, reply))

    def _late(self, attempt: _Attempt) -> None:
        """Try once more: nothing was charged, and the reply has said what time it is at Redis."""
        asked = attempt.asked
        if attempt.second or self._loop.time() >= asked.deadline:
            asked.done(StoreUnavailable(asked.call.op.value, "Redis ran the call after its deadline"))
        else:
            self._submit(asked, attempt.turn, second=True)

    def _failed(self, attempt: _Attempt, error: Exception) -> None:
        asked, why = attempt.asked, _words(error)
        if isinstance(error, StoreError):
            if isinstance(error, StoreTimeout):
                attempt.turn.node.timed_out()
            asked.done(error)
        elif why.startswith("NOSCRIPT"):
            self._send(attempt, b"EVAL", self._script.text)
        else:
            self._refused(attempt, why)

    def _refused(self, attempt: _Attempt, why: str) -> None:
        """Send a call that was refused, and charged nothing, to where it belongs while there is time for it.

        A try that has too little of it would look as if that Redis were silent. A refusal that knows no other
        place is one of the whole store.
        """
        asked, now = attempt.asked, self._loop.time()
        turn = self._topology.turn(keys.tag(asked.call.account), why)
        if turn is not None and now + turn.pause < asked.deadline - self._timeout / 5:
            self._loop.call_later(turn.pause, self._submit, asked, turn, attempt.second)
            return
        if turn is None:
            self._note_refusal(why)
        asked.done(StoreUnavailable(asked.call.op.value, why))

    def _note_refusal(self, why: str) -> None:
        """Note that Redis is there and refuses to count (disk full, read-only, out of memory), "" when it does not."""
        if why and not self._refusal:
            _log.error("Redis refuses to count: %s", why)
        self._refusal = why
        self._state_changed()

    def _state_changed(self) -> None:
        up = self.up
        if up is not self._said_up:
            self._said_up = up
            self._watch.up(up)


def _key(words: Args) -> bytes:
    """Return the key of a command of one key."""
    key = words[3 if words[0] == "EVAL" else 1]
    return key if isinstance(key, bytes) else key.encode()


def _words(error: Exception) -> str:
    """Return what Redis says about a command that it refuses, without the place in the script and the full stop."""
    return _PLACE.sub("", str(error)).removesuffix(".")
