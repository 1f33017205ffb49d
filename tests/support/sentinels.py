"""A master, its replica, and three sentinels that watch over them: real ones, on loopback."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from tests.support.ports import free_port
from tests.support.programs import find
from tests.support.redis import RedisServer, Transport, running
from tests.support.wait import until

NAME = "counters"
_DOWN_AFTER = 400
"""ms of silence after which a sentinel takes a server for dead."""


@dataclass
class Watched:
    """Two servers, of which the first begins as the master, and the ports of the sentinels."""

    servers: list[RedisServer]
    ports: list[int]

    @property
    def url(self) -> str:
        """The sentinels as ``store.url`` names them."""
        return f"sentinel://{','.join(f'127.0.0.1:{port}' for port in self.ports)}/{NAME}"

    def sentinel(self, at: int = 0) -> Any:
        """Return a connection to a sentinel."""
        return redis.Redis(port=self.ports[at])

    def master(self) -> RedisServer:
        """Return the server that all sentinels name."""
        named = {self.sentinel(at).sentinel_get_master_addr_by_name(NAME)[1] for at in range(len(self.ports))}
        found = [server for server in self.servers if named == {server.port}]
        assert found, f"the sentinels name {named}"
        return found[0]

    def other(self) -> RedisServer:
        """Return the replica."""
        return next(server for server in self.servers if server is not self.master())


@contextmanager
def watched(*, password: str = "", extra: tuple[str, ...] = ()) -> Iterator[Watched]:
    """Run them; it is ready for a failover."""
    options = ("--repl-diskless-sync-delay", "0", *extra)
    with ExitStack() as ending:
        both = [
            ending.enter_context(running(transport=Transport.TCP, password=password, options=options)) for _ in range(2)
        ]
        first, second = both
        for server in both:
            with server.client() as client:
                client.config_set("masterauth", password)
        with second.client() as client:
            client.replicaof("127.0.0.1", str(first.port))
            until(lambda: client.info("replication")["master_link_status"] == "up", "the replica follows")
        ports = [ending.enter_context(_sentinel(first, password, second.directory / f"s{at}")) for at in range(3)]
        found = Watched(both, ports)
        until(lambda: all(_knows(found.sentinel(at)) for at in range(3)), "the sentinels know each other")
        yield found


def _knows(sentinel: Any) -> bool:
    state = sentinel.sentinel_master(NAME)
    return bool(state["num-other-sentinels"] == 2 and state["num-slaves"] == 1)


@contextmanager
def _sentinel(master: RedisServer, password: str, directory: Path) -> Iterator[int]:
    directory.mkdir()
    port, file = free_port(), directory / "sentinel.conf"
    lines = [
        f"port {port}", "bind 127.0.0.1", f"dir {directory}", f"logfile {directory}/log",
        f"sentinel monitor {NAME} 127.0.0.1 {master.port} 2",
        f"sentinel down-after-milliseconds {NAME} {_DOWN_AFTER}",
        f"sentinel failover-timeout {NAME} 1000",
        *([f"sentinel auth-pass {NAME} {password}"] if password else []),
    ]  # fmt: skip
    file.write_text("\n".join(lines) + "\n")
    process = subprocess.Popen([find("redis-server") or "", str(file), "--sentinel"], stdout=subprocess.DEVNULL)
    try:
        yield port
    finally:
        process.kill()
        process.wait(20)
