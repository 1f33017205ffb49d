"""The store in Redis: calls become commands of the thin link, replies become outcomes.

redis-py reads the URL; host, TLS and login of redis://, rediss:// and unix:// are as it documents.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable
from functools import partial
from secrets import token_hex
from time import monotonic
from typing import Any, ClassVar, NamedTuple, cast
from urllib.parse import urlsplit

import hiredis
from redis.connection import parse_url

from policyd.clock import Clock
from policyd.errors import StoreError, StoreTimeout, StoreUnavailable
from policyd.model import Outcome
from policyd.secret import secret_path
from policyd.store.base import Call, Done, Op
from policyd.store.breaker import Breaker
from policyd.store.keys import PREFIX
from policyd.store.link import Args, Connect, Greeting, Link, State
from policyd.store.script import LATE, Script, decode, encode

_UNDATED = frozenset({Op.GIVE_BACK, Op.PEEK})
"""Operations that charge nothing: never too late, and harmless when they run twice."""


_PROBE = ("SET", PREFIX + b"index:probe", b"", "PX", "60000")
_log = logging.getLogger("policyd.store")


class RedisClock:
    """What time it is at Redis, estimated low: a deadline made from it never lies too late.

    Every reply carries the time at which Redis ran the call; the answer's way home only makes the
    estimate smaller. The best of the last two stretches of time counts, and nothing older: a clock
    that was stepped back, or runs at another speed, is believed soon.
    """

    STRETCH: ClassVar = 60.0
    ASK: ClassVar = 1
    """A deadline long ago: the call is refused as late, and the refusal says what time it is."""

    def __init__(self) -> None:
        self._offset = self._previous = float("-inf")
        self._since = float("-inf")

    def heard(self, redis_now: int, local: float) -> None:
        """Note that Redis said ``redis_now`` (ms) in a reply read at ``local`` (s, monotonic)."""
        offset, age = redis_now - local * 1000, local - self._since
        if age < self.STRETCH:
            self._offset = max(self._offset, offset)
            return
        self._previous = self._offset if age < 2 * self.STRETCH else float("-inf")
        self._offset, self._since = offset, local

    def deadline(self, local: float) -> int:
        """Return the time at Redis when it is ``local`` here, in ms; ASK when that is not known."""
        if local - self._since > 2 * self.STRETCH:
            return self.ASK
        return int(max(self._offset, self._previous) + local * 1000)

    def forget(self) -> None:
        """Start anew: another Redis may answer now."""
        self._offset = self._previous = self._since = float("-inf")


class _Attempt(NamedTuple):
    call: Call
    done: Done
    started: float
    deadline: float
    args: tuple[bytes, ...]
    second: bool


class Server(NamedTuple):
    """Which Redis: a redis://, rediss:// or unix:// URL and the password, "" for none."""

    url: str
    password: str = ""


class Watch(NamedTuple):
    """Who hears how the store does: the seconds of each answer, and whether it answers at all."""

    answered: Callable[[float], None]
    up: Callable[[bool], None]


class RedisStore:
    """A Store on one Redis. ``timeout`` is in ms; ``clock`` decides whose time is counted by."""

    def __init__(self, server: Server, timeout: int, clock: Clock, watch: Watch) -> None:
        self._script = Script()
        self._seed = token_hex(16).encode()
        self._clock, self._timeout = clock, timeout / 1000
        self._watch, self._said_up = watch, cast("bool | None", None)
        self._refusal = ""
        self._redis_clock, self._breaker = RedisClock(), Breaker()
        self._loop = asyncio.get_running_loop()
        connect, commands = _connection(server)
        # TIME first: to a client that did not log in, Redis calls a script of this size a protocol error.
        greeting = Greeting((*commands, ("TIME",), ("SCRIPT", "LOAD", self._script.text)), self._greeted)
        self._link = Link(connect, greeting, self._timeout, self._tell)

    @property
    def up(self) -> bool:
        """Whether Redis answered last time it was asked, in time, and takes what is written."""
        return self._link.state is State.UP and not self._refusal and not self._breaker.open

    @property
    def breaker_open(self) -> bool:
        """Whether calls fail at once, since one got no answer in time and no trial has had one since."""
        return self._breaker.open

    def submit(self, call: Call, done: Done) -> None:
        """Send a call; ``done`` gets the Outcome, or a StoreError after at most the timeout."""
        if self._breaker.open:
            done(StoreUnavailable(call.op.value, "Redis gave no answer in time, and is not asked until it does"))
            return
        # Deadlines are in the time of the loop, which lags while callbacks run; what is measured is not.
        self._submit(call, done, monotonic(), self._loop.time() + self._timeout, second=False)

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
        future: asyncio.Future[Any] = self._loop.create_future()

        def done(reply: object) -> None:
            if not future.done():
                future.set_result(reply)

        words = tuple(str(arg) if isinstance(arg, int) else arg for arg in args)
        self._link.submit("command", words, done, repeatable=False)
        reply = await future
        if isinstance(reply, StoreError):
            raise reply
        if isinstance(reply, hiredis.ReplyError):
            raise StoreUnavailable("command", str(reply))
        return reply

    async def probe(self) -> None:
        """Find out whether Redis answers and takes what is written. Raises StoreError when it does not."""
        try:
            await self.command(*_PROBE)
        except StoreTimeout:
            self._timed_out()
            raise
        except StoreUnavailable as error:
            if self._link.state is State.UP:
                self._note_refusal(str(error))
            raise
        self._note_refusal("")

    async def close(self) -> None:
        """Close the link; calls under way get StoreUnavailable."""
        await self._link.close()

    def _submit(self, call: Call, done: Done, started: float, deadline: float, *, second: bool) -> None:
        explicit = self._clock.store_now()
        not_after = 0 if explicit or call.op in _UNDATED else self._redis_clock.deadline(deadline)
        args = encode(call, explicit, not_after, self._seed)
        self._send(_Attempt(call, done, started, deadline, args, second), b"EVALSHA", self._script.sha)

    def _send(self, attempt: _Attempt, command: bytes, script: bytes) -> None:
        call = attempt.call
        repeatable = call.op in _UNDATED or bool(call.record and call.record.instance)
        words, heard = (command, script, *attempt.args), partial(self._heard, attempt)
        self._link.submit(call.op, words, heard, repeatable=repeatable, deadline=attempt.deadline)

    def _heard(self, attempt: _Attempt, reply: Any) -> None:  # noqa: ANN401  # as many types as Redis has replies
        if not isinstance(reply, list):
            self._failed(attempt, reply)
            return
        now = monotonic()
        if not self._clock.store_now():
            self._redis_clock.heard(int(reply[1]), now)
        if reply[0] == LATE:
            self._late(attempt)
            return
        self._watch.answered(now - attempt.started)
        attempt.done(decode(attempt.call, reply))

    def _late(self, attempt: _Attempt) -> None:
        """Try once more: nothing was charged, and the reply has said what time it is at Redis."""
        if attempt.second or self._loop.time() >= attempt.deadline:
            attempt.done(StoreUnavailable(attempt.call.op.value, "Redis ran the call after its deadline"))
        else:
            self._submit(attempt.call, attempt.done, attempt.started, attempt.deadline, second=True)

    def _failed(self, attempt: _Attempt, error: Exception) -> None:
        if isinstance(error, StoreError):
            if isinstance(error, StoreTimeout):
                self._timed_out()
            attempt.done(error)
        elif str(error).startswith("NOSCRIPT"):
            self._send(attempt, b"EVAL", self._script.text)
        else:
            self._note_refusal(str(error))
            attempt.done(StoreUnavailable(attempt.call.op.value, str(error)))

    def _timed_out(self) -> None:
        if self._breaker.timed_out(self._loop.time()):
            self._tell()
            self._loop.call_later(self._breaker.rest, self._try)

    def _try(self) -> None:
        """Ask whether Redis answers again: what is asked for mail is answered without it until then."""
        if self._link.state is not State.CLOSED:
            self._link.submit("probe", _PROBE, self._tried, repeatable=False)

    def _tried(self, reply: object) -> None:
        self._breaker.tried(self._loop.time(), answered=not isinstance(reply, StoreError))
        if self._breaker.open:
            self._loop.call_later(self._breaker.rest, self._try)
        self._tell()

    def _note_refusal(self, why: str) -> None:
        """Note that Redis is there and refuses to count (disk full, read-only, out of memory), "" when it does not."""
        if why and not self._refusal:
            _log.error("Redis refuses to count: %s", why)
        self._refusal = why
        self._tell()

    def _greeted(self, replies: list[Any]) -> None:
        seconds, micros = replies[-2]
        self._redis_clock.forget()
        self._redis_clock.heard(int(seconds) * 1000 + int(micros) // 1000, monotonic())

    def _tell(self, _: State | None = None) -> None:
        """Say whether the store is up when that has changed."""
        up = self.up
        if up is not self._said_up:
            self._said_up = up
            self._watch.up(up)


def read_password(password_file: str) -> str:
    """Return the first line of a password file, "" when none is named. Raises OSError."""
    if not password_file:
        return ""
    return secret_path(password_file).read_text("utf-8").partition("\n")[0].strip()


def _connection(server: Server) -> tuple[Connect, list[Args]]:
    """Return how to connect to a redis://, rediss:// or unix:// URL, and how to log in there."""
    options: dict[str, Any] = dict(parse_url(server.url))  # type: ignore[no-untyped-call]
    secret = server.password or options.get("password") or ""
    commands: list[Args] = []
    if secret:
        commands.append(("AUTH", options.get("username") or "default", secret))
    if options.get("db"):
        commands.append(("SELECT", str(options["db"])))
    loop = asyncio.get_running_loop()
    if path := options.get("path"):
        return lambda factory: loop.create_unix_connection(factory, path), commands
    host, port = options.get("host", "localhost"), options.get("port", 6379)
    context = _tls(options) if urlsplit(server.url).scheme == "rediss" else None
    return lambda factory: loop.create_connection(factory, host, port, ssl=context), commands


def _tls(options: dict[str, Any]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=options.get("ssl_ca_certs"))
    if options.get("ssl_check_hostname") is False or options.get("ssl_cert_reqs") == "none":
        context.check_hostname = False
    if options.get("ssl_cert_reqs") == "none":
        context.verify_mode = ssl.CERT_NONE
    if options.get("ssl_certfile"):
        context.load_cert_chain(options["ssl_certfile"], options.get("ssl_keyfile"))
    return context
