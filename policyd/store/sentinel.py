"""One master and its replicas, watched over by sentinels: whoever is the master holds all keys.

The sentinels are asked for every connection, and four times a second besides: a master that went on
without noticing that it was replaced (frozen, or cut off with us on its side) is left as soon as
the others have chosen. Of different answers the one of the newest election counts.
"""

import asyncio
import contextlib
import logging
from typing import Any

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.credentials import CredentialProvider
from redis.exceptions import AuthenticationError

from policyd.conf.store_url import Several
from policyd.errors import StoreUnavailable
from policyd.secret import read_password
from policyd.store.attendance import Attendance
from policyd.store.node import Node, Terms
from policyd.store.server import Login, Server, options_of, origin, tcp, tls
from policyd.store.topology import Single, Turn

EVERY = 0.25
"""Seconds between two questions to the sentinels."""

_PATIENCE = 0.5
"""How long a sentinel has to answer, in seconds."""

_PAUSE = 0.02
_DEAD = ("is_sdown", "is_odown", "is_disconnected")

_Place = tuple[str, int]
_Connected = tuple[asyncio.Transport, asyncio.Protocol]
_log = logging.getLogger("policyd.store")


class _Password(CredentialProvider):
    """The password of the sentinels, as its file holds it when a connection to one of them is made."""

    def __init__(self, file: str) -> None:
        self._file = file

    def get_credentials(self) -> tuple[str]:
        return (read_password(self._file),)

    async def get_credentials_async(self) -> tuple[str]:
        return self.get_credentials()


class Sentinel(Single):
    """A Topology of one server: whichever is the master."""

    def __init__(self, url: Several, server: Server, terms: Terms) -> None:
        options = options_of(url.query)
        secured = {name: value for name, value in options.items() if name.startswith("ssl_")}
        self._context = tls(options) if url.tls else None
        self._name, self._master, file = url.name, ("", 0), server.sentinel_password_file
        self._password_file = file
        self._sentinels = [
            redis.asyncio.Redis(
                host=host, port=port, credential_provider=_Password(file) if file else None,
                socket_timeout=_PATIENCE, socket_connect_timeout=_PATIENCE, retry=Retry(NoBackoff(), 0), protocol=2,
                **({"ssl": True, **secured} if url.tls else {}),
            )
            for host, port in url.places
        ]  # fmt: skip
        login = Login(server.place, url.user, server.password_file, url.database)
        super().__init__(Node(self._connect, login, terms, master=True))
        self._refused, self._ended = asyncio.Event(), False
        self._loop = asyncio.get_running_loop()
        self._attendance = Attendance(url.name, self._loop.time())
        self._watching = asyncio.create_task(self._watch())

    @property
    def sentinels_up(self) -> int | None:
        """How many sentinels named the master when they were asked last."""
        return self._attendance.up

    def turn(self, key: bytes, refusal: str) -> Turn | None:  # noqa: ARG002
        """Return the master again when this one became a replica: there is another, or soon will be."""
        if not refusal.startswith(("READONLY", "NOREPLICAS", "MASTERDOWN")):
            return None
        self._refused.set()
        return Turn(self._node, _PAUSE) if refusal.startswith("READONLY") else None

    async def close(self) -> None:
        """Close all connections, when the last question was answered: by TLS none is closed half-way."""
        self._ended = True
        self._refused.set()
        await self._watching
        await super().close()
        for sentinel in self._sentinels:
            await sentinel.aclose()

    async def _connect(self, factory: Any) -> _Connected:  # noqa: ANN401  # see Connect
        master = await self._ask()
        if master != self._master:
            _log.info("the sentinels name %s:%d as the master %s", *master, self._name)
        self._master = master
        return await tcp(*master, self._context)(factory)

    async def _watch(self) -> None:
        while not self._ended:
            with contextlib.suppress(StoreUnavailable):
                if await self._ask() != self._master:
                    self._node.link.renew()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY):
                    await self._refused.wait()
            self._refused.clear()

    async def _ask(self) -> _Place:
        """Return where the master is. Raises StoreUnavailable when no sentinel knows."""
        asked = (sentinel.sentinel_master(self._name) for sentinel in self._sentinels)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        known = [one for one in answers if isinstance(one, dict)]
        why = "; ".join(dict.fromkeys(self._said(one) for one in answers if not isinstance(one, dict)))
        self._attendance.heard(len(known), self._loop.time(), why)
        if not known:
            raise StoreUnavailable("connect", f"no sentinel names the master {self._name}: {why}")
        alive = [one for one in known if not any(one.get(flag) for flag in _DEAD)]
        newest = max(alive or known, key=lambda one: int(one["config-epoch"]))
        return str(newest["ip"]), int(newest["port"])

    def _said(self, error: object) -> str:
        said = str(error).removesuffix(".") or type(error).__name__
        if isinstance(error, AuthenticationError):
            said += f" ({origin(self._password_file, 'store.sentinel_password_file')})"
        return said
