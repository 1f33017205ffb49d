"""One Redis: the link to it, what time it is there, and whether it is asked at all."""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any, NamedTuple

from policyd.errors import StoreError, StoreUnavailable
from policyd.store.breaker import Breaker
from policyd.store.eviction import ASKED, Eviction
from policyd.store.keys import PREFIX
from policyd.store.link import Args, Connect, Greeting, Link, State
from policyd.store.redis_clock import RedisClock
from policyd.store.server import Login

_TRIAL = ("SET", PREFIX + b"index:probe", b"", "PX", "60000")


class Terms(NamedTuple):
    """What all links have in common.

    ``script`` is loaded on each connection; ``timeout`` is in seconds; ``changed`` is called when
    the state of a link has changed.
    """

    script: bytes
    timeout: float
    changed: Callable[[], None]


class Node:
    """A Redis that calls are sent to. Of ``master`` a connection to a Redis that is none is given up."""

    def __init__(self, connect: Connect, login: Login, terms: Terms, *, master: bool = False) -> None:
        self.clock, self.breaker = RedisClock(), Breaker()
        self._loop = asyncio.get_running_loop()
        self._changed, self._master, self._eviction = terms.changed, master, Eviction(login.place)
        # TIME before the script: to a client that did not log in, Redis calls one of this size a protocol error.
        asked: tuple[Args, ...] = (("ROLE",), ("TIME",), ("SCRIPT", "LOAD", terms.script))
        asked = asked if master else asked[1:]
        greeting = Greeting(lambda: (*login.commands(), *asked), self._greeted, login.failed)
        self.link = Link(connect, greeting, terms.timeout, self._state_changed)

    @property
    def up(self) -> bool:
        """Whether it answered last time it was asked, and in time."""
        return self.link.state is State.UP and not self.breaker.open

    @property
    def trouble(self) -> str:
        """Why it is not up, "" while it is."""
        return "" if self.up else self.link.trouble or "no answer in time"

    def timed_out(self) -> None:
        """Note that a call got no answer in time: no other waits for one until a trial has had it."""
        if self.breaker.timed_out(self._loop.time()):
            self._changed()
            self._loop.call_later(self.breaker.rest, self._try)

    def asking(self, op: str, deadline: float, *, repeatable: bool) -> None:
        """Have the next command run on a slot that this Redis is about to take over."""
        self.link.submit(op, ("ASKING",), _ignore, repeatable=repeatable, deadline=deadline)

    def _try(self) -> None:
        """Ask whether it answers again: what is asked for mail is answered without it until then."""
        if self.link.state is not State.CLOSED:
            self.link.submit("probe", _TRIAL, self._tried, repeatable=False)

    def _tried(self, reply: object) -> None:
        self.breaker.tried(self._loop.time(), answered=not isinstance(reply, StoreError))
        if self.breaker.open:
            self._loop.call_later(self.breaker.rest, self._try)
        self._changed()

    def _greeted(self, replies: list[Any]) -> None:
        if self._master and replies[-3][0] != b"master":
            raise StoreUnavailable("connect", "this Redis is no master")
        seconds, micros = replies[-2]
        self.clock.forget()
        self.clock.heard(int(seconds) * 1000 + int(micros) // 1000, monotonic())

    def _state_changed(self, state: State) -> None:
        self._changed()
        if state is State.UP:
            self.link.submit("memory", ASKED, self._eviction.heard, repeatable=False)


def _ignore(_: object) -> None:
    """Hear that Redis has taken note."""
