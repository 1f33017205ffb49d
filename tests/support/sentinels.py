"""A master, its replica, and three sentinels that watch over them: real ones, on loopback."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import redis

from tests.support.certificate import Certificate
from tests.support.ports import free_port
from tests.support.programs import find
from tests.support.redis import RedisServer, Transport, running
from tests.support.wait import until

NAME = "counters"
_DOWN_AFTER = 400
"""ms of silence after which a sentinel takes a server for dead."""


class Secrets(NamedTuple):
    """The passwords of the servers and of the sentinels, "" for none, and the certificate of all of them."""

    servers: str = ""
    sentinels: str = ""
    certificate: Certificate | None = None


@dataclass
class Watched:
    """Two servers, of which the first begins as the master, and the ports of the sentinels."""

    servers: list[RedisServer]
    ports: list[int]
    secrets: Secrets

    @property
    def url(self) -> str:
        """The sentinels as ``store.url`` names them."""
        return self.named()

    def named(self, user: str = "", database: str = "") -> str:
        """Return that of a user, for a database."""
        scheme, shown = "sentinel", ""
        if self.secrets.certificate is not None:
            scheme, shown = "sentinel+tls", f"?{urlencode(self.secrets.certificate.of_client())}"
        places = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        return f"{scheme}://{user and f'{user}@'}{places}/{NAME}{database and f'/{database}'}{shown}"

    def sentinel(self, at: int = 0) -> Any:
        """Return a connection to a sentinel."""
        certificate, place = self.secrets.certificate, f"127.0.0.1:{self.ports[at]}"
        url = f"redis://{place}" if certificate is None else f"rediss://{place}?{urlencode(certificate.of_client())}"
        return redis.Redis.from_url(url, password=self.secrets.sentinels or None)

    def clients(self) -> int:
        """Return how many connections the sentinels have."""
        return sum(self.sentinel(at).info("clients")["connected_clients"] for at in range(len(self.ports)))

    def ready(self) -> bool:
        """Whether all sentinels know each other, and a replica that can take over."""
        return all(_knows(self.sentinel(at)) for at in range(len(self.ports)))

    def named_now(self) -> set[int]:
        """Return the ports that the sentinels name as the master's."""
        return {self.sentinel(at).sentinel_get_master_addr_by_name(NAME)[1] for at in range(len(self.ports))}

    def master(self) -> RedisServer:
        """Return the server that all sentinels name."""
        named = self.named_now()
        found = [server for server in self.servers if named == {server.port}]
        assert found, f"the sentinels name {named}"
        return found[0]

    def other(self) -> RedisServer:
        """Return the replica."""
        return next(server for server in self.servers if server is not self.master())


@contextmanager
def watched(*, extra: tuple[str, ...] = (), **secrets: Any) -> Iterator[Watched]:
    """Run them with the given Secrets; it is ready for a failover."""
    known = Secrets(**secrets)
    transport = Transport.TCP if known.certificate is None else Transport.TLS
    replicas = ("--tls-replication", "yes") if known.certificate else ()
    options = ("--repl-diskless-sync-delay", "0", "--masterauth", known.servers, *replicas, *extra)
    with ExitStack() as ending:
        first, second = (
            ending.enter_context(
                running(transport=transport, password=known.servers, certificate=known.certificate, options=options)
            )
            for _ in range(2)
        )
        with second.client() as client:
            client.replicaof("127.0.0.1", str(first.port))
            until(lambda: client.info("replication")["master_link_status"] == "up", "the replica follows")
        ports = [ending.enter_context(_sentinel(first, known, second.directory / f"s{at}")) for at in range(3)]
        found = Watched([first, second], ports, known)
        until(found.ready, "the sentinels know each other, and the replica")
        yield found


def _knows(sentinel: Any) -> bool:
    try:
        master, replicas = sentinel.sentinel_master(NAME), sentinel.sentinel_slaves(NAME)
    except redis.ConnectionError:  # it does not listen yet
        return False
    alive = [one for one in replicas if not one["is_sdown"] and not one["is_disconnected"]]
    return bool(master["num-other-sentinels"] == 2 and len(alive) == 1)


@contextmanager
def _sentinel(master: RedisServer, secrets: Secrets, directory: Path) -> Iterator[int]:
    directory.mkdir()
    port, file, certificate = free_port(), directory / "sentinel.conf", secrets.certificate
    listening = {"port": str(port)} if certificate is None else certificate.of_server(port) | {"tls-replication": "yes"}
    lines = [
        *(f"{name} {value}" for name, value in listening.items()),
        "bind 127.0.0.1", f"dir {directory}", f"logfile {directory}/log",
        f"sentinel monitor {NAME} 127.0.0.1 {master.port} 2",
        f"sentinel down-after-milliseconds {NAME} {_DOWN_AFTER}",
        f"sentinel failover-timeout {NAME} 1000",
        *([f"sentinel auth-pass {NAME} {secrets.servers}"] if secrets.servers else []),
        *([f"requirepass {secrets.sentinels}"] if secrets.sentinels else []),
    ]  # fmt: skip
    file.write_text("\n".join(lines) + "\n")
    process = subprocess.Popen([find("redis-server") or "", str(file), "--sentinel"], stdout=subprocess.DEVNULL)
    try:
        yield port
    finally:
        process.kill()
        process.wait(20)
