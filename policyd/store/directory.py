"""The state directory: one daemon at a time, with room to write.

The lock is flock(2) on ``lock`` in the directory. The kernel releases it with the process, however
that ends, so a lock that is held always means a daemon that lives. The file itself stays: whoever
removed it could let two daemons lock two different files.
"""

import errno
import fcntl
import os
from pathlib import Path

from policyd.errors import StateDirectoryError

ROOM = 1024 * 1024
"""Bytes that must be free when the daemon starts: an append-only file needs room to begin with."""

_CURES = {
    errno.ENOSPC: "free some space on its file system",
    errno.EDQUOT: "raise the disk quota of its owner",
    errno.EACCES: "make it belong to the user that policyd runs as",
    errno.EPERM: "make it belong to the user that policyd runs as",
    errno.EROFS: "choose a store.directory on a writable file system",
    errno.ENOTDIR: "choose a store.directory that is a directory",
    errno.EEXIST: "choose a store.directory that is a directory",
    errno.ENOLCK: "choose a store.directory on a local file system",
}


class StateDirectory:
    """A directory that belongs to this process from ``acquire`` to ``release``.

    A process forked in between shares the lock; programs started with subprocess do not.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = -1

    def acquire(self) -> None:
        """Make the directory when it is missing, lock it and see that it can be written.

        Raises StateDirectoryError, which names the pid of the daemon that has it.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            self._take()
            self._probe_room()
        except OSError as error:
            self.release()
            raise unusable(self.path, error) from error
        except StateDirectoryError:
            self.release()
            raise

    def release(self) -> None:
        """Let another daemon have the directory; does nothing when it is not held."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _take(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StateDirectoryError(str(self.path), self._taken()) from None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, b"%d\n" % os.getpid(), 0)

    def _taken(self) -> str:
        pid = os.pread(self._lock, 32, 0).decode("ascii", "replace").strip()
        who = f"by the policyd with pid {pid}" if pid.isdecimal() else "by another policyd"
        return f"in use {who}; stop that one, or let both share a Redis of yours (store.url)"

    def _probe_room(self) -> None:
        name = self.path / "probe"
        probe = os.open(name, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.posix_fallocate(probe, 0, ROOM)
        finally:
            os.close(probe)
            name.unlink()


def unusable(path: Path, error: OSError) -> StateDirectoryError:
    """Return the error for a state directory that the system does not let us use, with its cure."""
    cure = _CURES.get(error.errno or 0, "choose another store.directory")
    return StateDirectoryError(str(path), f"{error.strerror or error}: {cure}")
