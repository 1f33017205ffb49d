"""What the tests of the embedded Redis share: a daemon in a process of its own, and small looks at processes."""

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from policyd.store.embedded import EmbeddedRedis
from tests.support.programs import require
from tests.support.wait import until

DEADLINE = 20.0

HOLDER = Path(__file__).with_name("holder.py")

Run = Callable[[Coroutine[Any, Any, None]], None]


@dataclass
class Ups:
    """The children that answered, in order; ``seen`` waits for the next."""

    pids: list[int] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self, pid: int) -> None:
        """Take note of a child that answers."""
        self.pids.append(pid)
        self._changed.set()

    async def seen(self, count: int) -> int:
        """Return the pid of the ``count``-th child when it answers."""
        async with asyncio.timeout(DEADLINE):
            while len(self.pids) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.pids[count - 1]


class Holder:
    """A daemon that holds an embedded Redis, in a process of its own."""

    def __init__(self, directory: Path, binary: str, loop: str = "uvloop") -> None:
        command = [sys.executable, str(HOLDER), str(directory), binary, loop]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def said(self) -> str:
        """Return its next line: the pid of the child that answers, or an error."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def ended(self) -> int:
        """Wait for its end and return its exit status."""
        return self.process.wait(DEADLINE)

    def end(self) -> None:
        """Kill it if it is still there."""
        self.process.kill()
        self.process.wait(DEADLINE)
        assert self.process.stdout is not None
        self.process.stdout.close()


Hold = Callable[..., Holder]


def client(store: EmbeddedRedis | Path) -> "redis.Redis":
    """Return a connection to an embedded Redis, or to the one in a directory."""
    path = store / "redis.sock" if isinstance(store, Path) else store.socket
    return redis.Redis(unix_socket_path=str(path), socket_timeout=DEADLINE)


def ended(pid: int) -> bool:
    """Whether a process has ended, be it a zombie that nobody has waited for."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"


def wait_for_end(pid: int) -> None:
    """Return when a process has ended."""
    until(lambda: ended(pid), f"process {pid} ends", DEADLINE)


def end(pid: int) -> None:
    """Kill a process that a test made, if it lives, and wait for its end."""
    if pid > 1 and not ended(pid):
        os.kill(pid, 9)
        wait_for_end(pid)


@contextmanager
def small_disk(size: str) -> Iterator[Path]:
    """Mount a file system of the given size (``256k``) in a directory of its own."""
    mount, umount = require("mount", root=True), require("umount", root=True)
    with tempfile.TemporaryDirectory(prefix="pd", dir="/tmp") as directory:
        subprocess.run([mount, "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", directory], check=True)
        try:
            yield Path(directory)
        finally:
            subprocess.run([umount, "--lazy", directory], check=True)
