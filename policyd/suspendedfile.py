"""Who is suspended, as the daemon knew it last, in a file: a daemon that starts while the store is away goes by it.

What the store says replaces it as soon as it answers. It is written whole, and only when something has changed:
once a second, at the end, and before a suspension of this daemon's is confirmed.
"""

import asyncio
import json
import logging
import os
from pathlib import Path
from tempfile import NamedTemporaryFile

from policyd.suspension import Suspended

NAME = "suspended.json"
MOST = 10_000
"""Suspensions in the file, the newest; and it is not read when it is longer than they can be."""

_LONGEST = MOST * 2048
_TYPES = (str, str, str, int, int, str, str, str)

_log = logging.getLogger("policyd")


class SuspendedFile:
    """The file in the state directory. Nothing here raises: without it, the store says who is suspended."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / NAME
        self._written: list[Suspended] | None = None
        self._unread, self._trouble = "", ""
        self._writing = asyncio.Lock()

    def recall(self) -> list[Suspended]:
        """Return what the file says, nothing when it cannot be read."""
        try:
            self._written = _read(self._path)
        except FileNotFoundError:
            self._unread = "there is none yet"
        except (OSError, ValueError, RecursionError) as error:
            self._unread = getattr(error, "strerror", "") or "it is not as policyd wrote it"
        return self._written or []

    async def keep(self, known: list[Suspended] | None) -> None:
        """Write what is in force, unless it stands there; None: the store has not said it yet, which is news once."""
        if known is None:
            if self._unread:
                _log.warning("who is suspended is not known until Redis answers: %s: %s", self._path, self._unread)
            self._unread = ""
            return
        async with self._writing:
            await self._keep(known[-MOST:])

    async def _keep(self, known: list[Suspended]) -> None:
        if known == self._written:
            return
        try:
            await asyncio.to_thread(_write, self._path, known)
        except OSError as error:
            if not self._trouble:
                self._trouble = f"{self._path}: {error.strerror or error}"
                _log.warning("who is suspended is not kept for a start while Redis is away: %s", self._trouble)
            return
        self._written, self._trouble = known, ""


def _read(path: Path) -> list[Suspended]:
    """Return what a file holds. Raises OSError, ValueError, RecursionError."""
    with path.open("rb") as file:
        text = file.read(_LONGEST + 1)
    if len(text) > _LONGEST:
        raise ValueError(path)
    rows = json.loads(text)
    if not isinstance(rows, list) or not all(isinstance(row, list) and _fits(row) for row in rows):
        raise ValueError(path)
    return [Suspended(*row) for row in rows]


def _fits(row: list[object]) -> bool:
    return [type(value) for value in row] == list(_TYPES)


def _write(path: Path, known: list[Suspended]) -> None:
    """Put a file in place of the present one, for its owner alone, and whole. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with NamedTemporaryFile("w", prefix=f"{NAME}.", dir=path.parent, delete=False) as partial:
        try:
            json.dump(known, partial)
            partial.flush()
            os.fsync(partial.fileno())
            Path(partial.name).replace(path)
        except OSError:
            Path(partial.name).unlink()
            raise
