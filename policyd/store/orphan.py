"""What a killed daemon may have left behind in its state directory, and how it is ended.

The kernel sends the child of a killed daemon SIGTERM; it is still there when it is stopped, or busy,
or writes its last data while a new daemon starts. It is never adopted: nobody would know with
which options it runs, and nobody would notice its end. A pid from a file may be any process
by now, so a process is ended only when it is a redis-server that stands in this directory and no
other process listens on the socket.
"""

import asyncio
import contextlib
import logging
import os
import select
import signal
import socket
import struct
from pathlib import Path

from policyd.errors import StateDirectoryError
from policyd.store.directory import unusable

_UCRED = struct.Struct("3i")  # pid, uid, gid: unix(7), SO_PEERCRED
_PROGRAM = "redis-server"


class Remains:
    """What a former daemon left in a state directory: its pid file, its socket, perhaps its redis-server.

    The caller holds the lock of the directory.
    """

    def __init__(self, directory: Path, pidfile: Path, socket_path: Path, log: logging.Logger) -> None:
        self._directory, self._pidfile, self._socket, self._log = directory, pidfile, socket_path, log

    async def clear(self, within: float) -> None:
        """End the redis-server that the pid file names, if it is one of ours, and remove pid file and socket.

        SIGTERM first, SIGKILL after ``within`` seconds. Raises StateDirectoryError when another
        process listens on the socket, which is left alone, or when a file cannot be removed.
        """
        pid = _read_pid(self._pidfile)
        handle = _open(pid)
        if handle is not None:
            try:
                await self._end(pid, handle, within)
            finally:
                os.close(handle)
        self._remove()

    async def _end(self, pid: int, handle: int, within: float) -> None:
        # Looked at after the handle was opened: what is seen belongs to the process that the signal goes to.
        if not _is_ours(pid, self._directory) or _listener(self._socket) not in {None, pid}:
            self._log.info("pid %d of a former daemon's redis-server belongs to another process now", pid)
            return
        self._log.warning("ending the redis-server of a former daemon (pid %d)", pid)
        signal.pidfd_send_signal(handle, signal.SIGTERM)
        if not await _ended(handle, within):
            self._log.error("redis-server of a former daemon (pid %d) outlived %g s and is killed", pid, within)
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            await _ended(handle, None)

    def _remove(self) -> None:
        stranger = _listener(self._socket)
        if stranger is not None:
            why = f"the process with pid {stranger}, which policyd did not start, listens on {self._socket}"
            raise StateDirectoryError(str(self._directory), f"{why}; stop it, or choose another store.directory")
        try:
            self._pidfile.unlink(missing_ok=True)
            self._socket.unlink(missing_ok=True)
        except OSError as error:
            raise unusable(self._directory, error) from error


def _read_pid(pidfile: Path) -> int:
    """Return the pid in the file, 0 when there is none."""
    try:
        text = pidfile.read_bytes().strip()
    except FileNotFoundError:
        return 0
    return int(text) if text.isdigit() and len(text) < len(str(2**31)) else 0


def _open(pid: int) -> int | None:
    """Return a pidfd, None when no such process lives."""
    if pid <= 0:
        return None
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return None
    if _has_ended(handle):
        os.close(handle)
        return None
    return handle


def _has_ended(handle: int) -> bool:
    return bool(select.select([handle], [], [], 0)[0])


def _is_ours(pid: int, directory: Path) -> bool:
    """Whether the process is a redis-server that stands in the directory, as Redis does in its ``dir``."""
    process = Path(f"/proc/{pid}")
    try:
        return (process / "comm").read_text().strip() == _PROGRAM and (process / "cwd").samefile(directory)
    except OSError:  # it is another user's, or has ended
        return False


def _listener(path: Path) -> int | None:
    """Return the pid of the process that listens on the socket, None when nobody does.

    It is 0 for a process of another pid namespace, or when the kernel cannot tell.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(os.fsencode(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        except BlockingIOError:
            return 0
        pid, _, _ = _UCRED.unpack(probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return int(pid)


async def _ended(handle: int, within: float | None) -> bool:
    """Wait for the end of a process; False when it lives after ``within`` seconds."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(handle, ended.set)
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await ended.wait()
    finally:
        loop.remove_reader(handle)
    return ended.is_set()
