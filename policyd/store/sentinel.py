"""One master and its replicas, watched over by sentinels: whoever is the master holds all keys.

The sentinels are asked for every connection, and four times a second besides: a master that went on
without noticing that it was replaced (frozen, or cut off with us on its side) is left as soon as
the others have chosen. Of different answers the one of the newest election counts.
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import Any, cast

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from policyd.conf.store_url import Several
from policyd.errors import StoreUnavailable
from policyd.store.node import Node, Terms
from policyd.store.server import Server, login, options_of, tcp, tls
from policyd.store.topology import Turn

EVERY = 0.25
"""Seconds between two questions to the sentinels."""

_PATIENCE = 0.5
"""How long a sentinel has to answer, in seconds."""

_PAUSE = 0.02
_DEAD = ("is_sdown", "is_odown", "is_disconnected")

_Place = tuple[str, int]
_Connected = tuple[asyncio.Transport, asyncio.Protocol]
_log = logging.getLogger("policyd.store")


class Sentinel:
    """A Topology of one master that may change."""

    def __init__(self, url: Several, server: Server, terms: Terms) -> None:
        options = options_of(url.query)
        secured = {name: value for name, value in options.items() if name.startswith("ssl_")}
        self._context = tls(options) if url.tls else None
        self._name, self._master = url.name, ("", 0)
        self._sentinels = [
            redis.asyncio.Redis(
                host=host, port=port, password=server.sentinel_password or None,
                socket_timeout=_PATIENCE, socket_connect_timeout=_PATIENCE, retry=Retry(NoBackoff(), 0),
                **({"ssl": True, **secured} if url.tls else {}),
            )
            for host, port in url.places
        ]  # fmt: skip
        self._node = Node(self._connect, login(url.user, server.password, url.database), terms, master=True)
        self._refused = asyncio.Event()
        self._watching = asyncio.create_task(self._watch())

    @property
    def up(self) -> bool:
        """Whether the master answered last time it was asked."""
        return self._node.up

    @property
    def nodes(self) -> Sequence[Node]:
        """The master."""
        return (self._node,)

    def node(self, key: bytes) -> Node:  # noqa: ARG002
        """Return the master."""
        return self._node

    def declared(self, args: tuple[bytes, ...]) -> tuple[bytes, ...]:
        """Return them as they are."""
        return args

    def turn(self, key: bytes, refusal: str) -> Turn | None:  # noqa: ARG002
        """Return the master again when this one became a replica: there is another, or soon will be."""
        if not refusal.startswith(("READONLY", "NOREPLICAS", "MASTERDOWN")):
            return None
        self._refused.set()
        return Turn(self._node, _PAUSE) if refusal.startswith("READONLY") else None

    def everywhere(self, name: bytes) -> list[bytes]:
        """Return the name: there is one master."""
        return [name]

    async def close(self) -> None:
        """Close all connections."""
        self._watching.cancel()
        await asyncio.gather(self._watching, return_exceptions=True)
        await self._node.link.close()
        for sentinel in self._sentinels:
            await sentinel.aclose()

    async def _connect(self, factory: Any) -> _Connected:  # noqa: ANN401  # see Connect
        master = await self._ask()
        if master != self._master:
            _log.info("the sentinels name %s:%d as the master %s", *master, self._name)
        self._master = master
        return await tcp(*master, self._context)(factory)

    async def _watch(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY):
                    await self._refused.wait()
            self._refused.clear()
            with contextlib.suppress(StoreUnavailable):
                if await self._ask() != self._master:
                    self._node.link.renew()

    async def _ask(self) -> _Place:
        """Return where the master is. Raises StoreUnavailable when no sentinel knows."""
        answers = await asyncio.gather(*(self._answer(one) for one in self._sentinels), return_exceptions=True)
        known = [one for one in answers if not isinstance(one, BaseException)]
        if not known:
            why = "; ".join(dict.fromkeys(str(one) or type(one).__name__ for one in answers))
            raise StoreUnavailable("connect", f"no sentinel names the master {self._name}: {why}")
        alive = [one for one in known if not any(one.get(flag) for flag in _DEAD)]
        newest = max(alive or known, key=lambda one: int(one["config-epoch"]))
        return str(newest["ip"]), int(newest["port"])

    async def _answer(self, sentinel: "redis.asyncio.Redis") -> dict[str, Any]:
        try:
            return cast("dict[str, Any]", await sentinel.sentinel_master(self._name))
        except (OSError, RedisError) as error:
            raise StoreUnavailable("connect", str(error)) from error
