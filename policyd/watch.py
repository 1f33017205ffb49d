"""Reads the configuration again when a map file changes that another program writes.

A control panel that adds a domain sends no SIGHUP. What an admin edits himself waits for his word:
when policyd.yaml or an included file has changed too, nothing is read until he reloads.
"""

import asyncio
import logging
from pathlib import Path

from policyd.reload import ConfigInForce

EVERY = 5.0
"""Seconds between two looks at the files."""

_TABLES = ("", ".db", ".lmdb", ".cdb")
_TICK = 20  # ms: the kernel stamps files with a clock that may be a tick behind
# The stamps and Config.read_at are of the host's clock. One that jumps costs a reading too many.

_log = logging.getLogger("policyd.config")

Mark = tuple[int, int, int] | None


class FileWatch:
    """Looks at the files of the Config in force, and reloads it when its maps have changed."""

    def __init__(self, config: ConfigInForce) -> None:
        self._config = config
        self._marks: dict[str, Mark] = {}
        self._read_at = -1
        self._told = False

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await asyncio.sleep(EVERY)
            try:
                await self.look()
            except Exception:  # noqa: BLE001  # a bug there must not end the watch
                _log.exception("the map files could not be looked at")

    async def look(self) -> None:
        """Reload when a map has changed since it was read, and nothing else has."""
        config = self._config.now
        present = await asyncio.to_thread(_marks, config.files)
        if self._read_at != config.read_at:
            self._read_at, self._told = config.read_at, False
            edge = (config.read_at - _TICK) * 1_000_000
            known = self._marks
            self._marks = {
                file: mark for file, mark in present.items() if mark and (mark[0] < edge or mark == known.get(file))
            }
        changed = {file for file, mark in present.items() if mark != self._marks.get(file)}
        edited = changed.difference(config.maps)
        if changed == edited:
            return
        if edited:
            self._tell(sorted(edited))
            return
        self._marks = present
        _log.info("changed: %s; reading the configuration again", ", ".join(sorted(changed)))
        await self._config.reload("the map files")

    def _tell(self, edited: list[str]) -> None:
        if not self._told:
            _log.warning("map files changed, and so did %s: reload policyd to take both", ", ".join(edited))
        self._told = True


def _marks(files: tuple[str, ...]) -> dict[str, Mark]:
    return {file: max((_mark(file + table) for table in _TABLES), key=lambda mark: mark or (0, 0, 0)) for file in files}


def _mark(path: str) -> Mark:
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_size, status.st_ino)
