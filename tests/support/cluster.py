"""A real Redis Cluster on loopback: three masters with replicas."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from redis.crc import key_slot

from tests.support.certificate import Certificate
from tests.support.ports import free_port
from tests.support.programs import find
from tests.support.redis import RedisServer, Transport, running
from tests.support.wait import until

MASTERS = 3


@dataclass
class Nodes:
    """The servers of a cluster."""

    servers: list[RedisServer]
    replicas: int

    @property
    def url(self) -> str:
        """Two of the nodes, as ``store.url`` names a cluster."""
        return self.named()

    def named(self, user: str = "") -> str:
        """Return that of a user."""
        scheme, shown, certificate = "cluster", "", self.servers[0].certificate
        if certificate is not None:
            scheme, shown = "cluster+tls", f"?{urlencode(certificate.of_client())}"
        places = ",".join(f"127.0.0.1:{one.port}" for one in self.servers[:2])
        return f"{scheme}://{user and f'{user}@'}{places}{shown}"

    def masters(self) -> list[RedisServer]:
        """Return the servers that own slots."""
        return [one for one in self.servers if one.client().info("replication")["role"] == "master"]

    def owner(self, key: bytes) -> RedisServer:
        """Return the server that owns a key's slot."""
        slot = key_slot(key)
        ranges = _say(self.servers[0], "CLUSTER", "SLOTS")
        port = next(owner[1] for first, last, owner, *_ in ranges if first <= slot <= last)
        return next(one for one in self.servers if one.port == port)

    def whole(self) -> bool:
        """Whether all nodes run and agree on who owns what."""
        return all(_settled(server, MASTERS * self.replicas) for server in self.servers)

    def stored(self) -> list[list[bytes]]:
        """Return the keys of each master."""
        return [list(one.client().scan_iter()) for one in self.masters()]


class Move:
    """The move of one slot to another node, step by step, as redis-cli makes it."""

    def __init__(self, nodes: Nodes, key: bytes) -> None:
        self._slot, self._source = key_slot(key), nodes.owner(key)
        self._nodes = nodes
        self._target = next(one for one in nodes.masters() if one is not self._source)

    def begin(self) -> None:
        """Open the slot on both sides."""
        _say(self._target, "CLUSTER", "SETSLOT", self._slot, "IMPORTING", _id(self._source))
        _say(self._source, "CLUSTER", "SETSLOT", self._slot, "MIGRATING", _id(self._target))

    def keys(self) -> None:
        """Move all keys."""
        while found := _say(self._source, "CLUSTER", "GETKEYSINSLOT", self._slot, 10):
            _say(self._source, "MIGRATE", "127.0.0.1", self._target.port, "", 0, 5000, "KEYS", *found)

    def end(self) -> None:
        """Give the slot to its new owner."""
        owner = _id(self._target)
        for server in (self._target, self._source):
            _say(server, "CLUSTER", "SETSLOT", self._slot, "NODE", owner)


def _id(server: RedisServer) -> str:
    return str(_say(server, "CLUSTER", "MYID").decode())


def _say(server: RedisServer, *words: str | int | bytes) -> Any:  # as many types as Redis has replies
    client: Any
    with server.client() as client:
        return client.execute_command(*words)


@contextmanager
def cluster(
    *, replicas: int = 1, password: str = "", certificate: Certificate | None = None, extra: tuple[str, ...] = ()
) -> Iterator[Nodes]:
    """Run one; all nodes agree on who owns what."""
    by_tls = ("--tls-cluster", "yes", "--tls-replication", "yes") if certificate else ()
    options = (
        *("--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--cluster-require-full-coverage", "no"),
        *("--repl-diskless-sync-delay", "0", "--masterauth", password, *by_tls, *extra),
    )
    given = {"password": password, "certificate": certificate}
    transport = Transport.TLS if certificate else Transport.TCP
    with ExitStack() as ending:
        servers = [
            ending.enter_context(
                running(transport=transport, options=(*options, "--cluster-port", str(free_port())), **given)
            )
            for _ in range(MASTERS * (1 + replicas))
        ]
        _make(servers, replicas)
        nodes = Nodes(servers, replicas)
        until(nodes.whole, "all nodes agree")
        yield nodes


def _make(servers: list[RedisServer], replicas: int) -> None:
    first, places = servers[0], [f"127.0.0.1:{server.port}" for server in servers]
    words = [find("redis-cli") or "", "--cluster", "create", *places]
    words += ["--cluster-replicas", str(replicas), "--cluster-yes"]
    if first.certificate is not None:
        files = {"cacert": first.certificate.file, "cert": first.certificate.file, "key": first.certificate.key}
        words += ["--tls", *(word for name, file in files.items() for word in (f"--{name}", str(file)))]
    environment = {"REDISCLI_AUTH": first.password} if first.password else {}
    subprocess.run(words, check=True, capture_output=True, timeout=60, env=environment)


def _settled(server: RedisServer, slaves: int) -> bool:
    client: Any
    with server.client() as client:
        state = client.execute_command("CLUSTER", "INFO")
        nodes = client.execute_command("CLUSTER", "NODES").decode()
        linked = client.info("replication").get("master_link_status", "up") == "up"
    return b"cluster_state:ok" in state and nodes.count("slave") == slaves and "fail" not in nodes and linked
