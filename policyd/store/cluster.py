"""A Redis Cluster: a link to each node that owns slots, and the table of who owns which.

All keys of a decision carry one tag, so each call has one node. Where a slot went is told by the
nodes (MOVED, ASK) and once a second by the table itself, which is taken from the node that knows of
the newest election. While the keys of a slot move, Redis says TRYAGAIN; the call is sent again until
its time is over.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import RedisError

from policyd.conf.store_url import Several
from policyd.errors import SecretError
from policyd.secret import read_password
from policyd.store import keys
from policyd.store.link import State
from policyd.store.node import Node, Terms
from policyd.store.server import Login, Server, options_of, tcp, tls
from policyd.store.topology import Turn

EVERY = 1.0
"""Seconds between two looks at the table; each node has half of that to answer."""

_SOON = 0.05
"""Seconds that pass at least between two looks, however much happens."""

_SHORTLY, _LATER = 0.001, 0.02
_NOT_NOW = ("TRYAGAIN", "CLUSTERDOWN", "READONLY", "MASTERDOWN")

_Place = tuple[str, int]


class _Table(NamedTuple):
    epoch: int
    ranges: tuple[tuple[int, int, _Place], ...]


class Cluster:
    """A Topology of many nodes."""

    def __init__(self, url: Several, server: Server, terms: Terms) -> None:
        options = options_of(url.query)
        self._context = tls(options) if url.tls else None
        secured = {"ssl": True, **{name: value for name, value in options.items() if name.startswith("ssl_")}}
        self._secured: dict[str, Any] = secured if url.tls else {}
        self._seeds, self._user, self._password_file = url.places, url.user, server.password_file
        self._terms = terms._replace(changed=self._changed)
        self._tell = terms.changed
        self._nodes: dict[_Place, Node] = {}
        self._epoch = -1
        self._unused: frozenset[_Place] = frozenset()
        self._owners = [self._at(url.places[0])] * REDIS_CLUSTER_HASH_SLOTS
        self._masters: tuple[Node, ...] = ()
        self._look, self._ended = asyncio.Event(), False
        self._watching = asyncio.create_task(self._watch())

    @property
    def up(self) -> bool:
        """Whether the table is known, and every node that owns slots answered last time it was asked."""
        return bool(self._masters) and all(node.up for node in self._masters)

    @property
    def nodes(self) -> Sequence[Node]:
        """The nodes that own slots."""
        return self._masters

    @property
    def sentinels_up(self) -> int | None:
        """None: the nodes themselves are asked."""
        return None

    def node(self, key: bytes) -> Node:
        """Return the owner of a key's slot."""
        return self._owners[_slot(key)]

    def declared(self, args: tuple[bytes, ...]) -> tuple[bytes, ...]:
        """Return them with one key more, which never exists: see main.lua."""
        count = int(args[0])
        tagged = args[1][: args[1].index(b"}:") + 2]
        return (b"%d" % (count + 1), *args[1 : count + 1], keys.absent(tagged), *args[count + 1 :])

    def turn(self, key: bytes, refusal: str) -> Turn | None:
        """Return the node that Redis points to, or the same once more when it says that it cannot just now."""
        word, _, rest = refusal.partition(" ")
        if word in {"MOVED", "ASK"}:
            host, _, port = rest.partition(" ")[2].rpartition(":")
            node = self._at((host or self._seeds[0][0], int(port)))
            if word == "ASK":
                return Turn(node, asking=True)
            self._owners[_slot(key)] = node
            self._look.set()
            return Turn(node, _SHORTLY)
        if word in _NOT_NOW:
            self._look.set()
            return Turn(self.node(key), _LATER)
        return None

    def everywhere(self, name: bytes) -> list[bytes]:
        """Return a key on each node that owns slots."""
        missing, found, number = set(self._masters), list[bytes](), 0
        while missing and number < REDIS_CLUSTER_HASH_SLOTS:
            key = b"{%d}:%s" % (number, name)
            node = self._owners[key_slot(key)]
            if node in missing:
                missing.remove(node)
                found.append(key)
            number += 1
        return found or [name]

    async def close(self) -> None:
        """Close all links, when the last look is over: by TLS no connection is closed half-way."""
        self._ended = True
        self._look.set()
        await self._watching
        for node in self._nodes.values():
            await node.link.close()

    def _changed(self) -> None:
        self._look.set()
        self._report()

    def _report(self) -> None:
        """Say how it is, unless that is only about to be found out."""
        nodes = self._masters or tuple(self._nodes.values())
        unsure = any(node.link.state is State.CONNECTING for node in nodes)
        if not unsure and (self._masters or not any(node.up for node in nodes)):
            self._tell()

    def _at(self, place: _Place) -> Node:
        if place not in self._nodes:
            login = Login("{}:{}".format(*place), self._user, self._password_file)
            self._nodes[place] = Node(tcp(*place, self._context), login, self._terms)
        return self._nodes[place]

    async def _watch(self) -> None:
        while not self._ended:
            self._look.clear()
            places = dict.fromkeys((*self._nodes, *self._seeds))
            tables = await asyncio.gather(*(self._table(*place) for place in places))
            known = [table for table in tables if table is not None and table.epoch >= self._epoch]
            if known:
                self._adopt(max(known, key=lambda table: table.epoch))
                await self._close_unused()
            await asyncio.sleep(_SOON)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY):
                    await self._look.wait()

    def _adopt(self, table: _Table) -> None:
        self._epoch = table.epoch
        for first, last, place in table.ranges:
            self._owners[first : last + 1] = [self._at(place)] * (last + 1 - first)
        masters = tuple(dict.fromkeys(self._at(place) for _, _, place in table.ranges))
        if masters != self._masters:
            self._masters = masters
            self._report()

    async def _close_unused(self) -> None:
        """Close the links to nodes that owned nothing at the last look, and own nothing now."""
        owners = set(self._owners)
        unused = frozenset(place for place, node in self._nodes.items() if node not in owners)
        for place in unused & self._unused:
            await self._nodes.pop(place).link.close()
        self._unused = unused

    async def _table(self, host: str, port: int) -> _Table | None:
        """Return the table of a node that is in touch with the others; None when it is not."""
        patience, once = EVERY / 2, Retry(NoBackoff(), 0)
        try:
            password = read_password(self._password_file) if self._password_file else None
        except SecretError:
            return None
        client: Any = redis.asyncio.Redis(
            host=host, port=port, username=self._user or None, password=password, retry=once,
            socket_timeout=patience, socket_connect_timeout=patience, **self._secured,
        )  # fmt: skip
        try:
            info = bytes(await client.execute_command("CLUSTER", "INFO"))
            slots = await client.execute_command("CLUSTER", "SLOTS")
        except (OSError, RedisError):
            return None
        finally:
            await client.aclose()
        said = dict(line.split(b":", 1) for line in info.split() if b":" in line)
        if said.get(b"cluster_state") != b"ok":
            return None
        ranges = tuple((first, last, (owner[0].decode() or host, owner[1])) for first, last, owner, *_ in slots)
        return _Table(int(said[b"cluster_current_epoch"]), ranges)


@lru_cache(maxsize=16_384)
def _slot(key: bytes) -> int:
    return key_slot(key)
