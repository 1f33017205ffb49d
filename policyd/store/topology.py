"""Which Redis holds a key: one server, the master that sentinels name, or the nodes of a cluster."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from policyd.store.node import Node


class Turn(NamedTuple):
    """Where a call goes that was refused and charged nothing, and after how many seconds; ``asking`` as Redis told."""

    node: Node
    pause: float = 0.0
    asking: bool = False


class Topology(Protocol):
    """The way from a key to its Redis. Nothing here raises, and nothing blocks but ``close``."""

    @property
    def up(self) -> bool:
        """Whether every Redis that holds keys answered last time it was asked."""

    @property
    def nodes(self) -> Sequence[Node]:
        """Every Redis that holds keys."""

    @property
    def sentinels_up(self) -> int | None:
        """How many sentinels named the master when they were asked last, None where there are none to be asked."""

    def node(self, key: bytes) -> Node:
        """Return the Redis that holds a key."""

    def declared(self, args: tuple[bytes, ...]) -> tuple[bytes, ...]:
        """Return the arguments of the script as this topology needs its keys to be declared."""

    def turn(self, key: bytes, refusal: str) -> Turn | None:
        """Return where a call belongs that a Redis has refused to run; None when there is no better place."""

    def everywhere(self, name: bytes) -> list[bytes]:
        """Return a key for each Redis, made from a name, that stands there."""

    async def close(self) -> None:
        """Close all links; calls under way get StoreUnavailable."""


class Single:
    """One server for all keys."""

    def __init__(self, node: Node) -> None:
        self._node = node

    @property
    def up(self) -> bool:
        """Whether it answered last time it was asked."""
        return self._node.up

    @property
    def nodes(self) -> Sequence[Node]:
        """The server."""
        return (self._node,)

    @property
    def sentinels_up(self) -> int | None:
        """None: nobody is asked."""
        return None

    def node(self, key: bytes) -> Node:  # noqa: ARG002
        """Return the server."""
        return self._node

    def declared(self, args: tuple[bytes, ...]) -> tuple[bytes, ...]:
        """Return them as they are."""
        return args

    def turn(self, key: bytes, refusal: str) -> Turn | None:  # noqa: ARG002
        """Return None: there is no other."""
        return None

    def everywhere(self, name: bytes) -> list[bytes]:
        """Return the name: there is one server."""
        return [name]

    async def close(self) -> None:
        """Close the link."""
        await self._node.link.close()
