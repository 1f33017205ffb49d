"""The Config in force, and how another takes its place.

A reload parses in a child process and swaps the whole; a bad file changes nothing. The listeners
and the store stay as they were at start.
"""

import asyncio
import dataclasses
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from policyd.conf.child import load_in_child
from policyd.conf.diff import changes
from policyd.conf.schema import Config
from policyd.errors import ConfigError
from policyd.metrics import Metrics
from policyd.server.systemd import Notifier

_log = logging.getLogger("policyd.config")


class Reloaded(NamedTuple):
    """What a reload did: the lines that changed, or the issues for which nothing did."""

    changes: list[str]
    issues: list[str]


class ConfigInForce:
    """Holds the Config that new requests are decided by."""

    def __init__(
        self, config: Config, path: Path | None, state_directory: str, metrics: Metrics, notifier: Notifier
    ) -> None:
        self.now = config
        self.path = path
        self._state_directory, self._metrics, self._notifier = state_directory, metrics, notifier
        self._listeners: list[Callable[[Config], None]] = []
        self._one_at_a_time = asyncio.Lock()
        self._task: asyncio.Task[Reloaded] | None = None
        self._loaded(config)

    def on_change(self, listener: Callable[[Config], None]) -> None:
        """Have ``listener`` called with every Config that comes into force later."""
        self._listeners.append(listener)

    def reload_soon(self) -> None:
        """Reload in the background, as SIGHUP asks."""
        self._task = asyncio.get_running_loop().create_task(self.reload())

    async def reload(self) -> Reloaded:
        """Read the file again and put it into force, unless it is bad. Never raises for a bad file."""
        if self.path is None:
            return Reloaded([], ["this daemon was not started from a file"])
        async with self._one_at_a_time:
            self._notifier.reloading()
            try:
                return self._swap(await load_in_child(self.path, self._state_directory))
            except ConfigError as error:
                return self._failed([str(issue) for issue in error.issues])
            except OSError as error:
                return self._failed([f"{self.path}: {error}"])
            finally:
                self._notifier.ready()

    def _swap(self, new: Config) -> Reloaded:
        old = self.now
        if new.listen != old.listen or new.store != old.store:
            _log.warning("listen and store change at a restart only; what was in force at start stays")
            new = dataclasses.replace(new, listen=old.listen, store=old.store)
        lines = changes(old, new)
        self.now = new
        for listener in self._listeners:
            listener(new)
        for line in lines:
            _log.info("changed: %s", line)
        _log.info("configuration reloaded: %d changes", len(lines))
        self._metrics.reloaded("ok")
        self._loaded(new)
        return Reloaded(lines, [])

    def _failed(self, issues: list[str]) -> Reloaded:
        for issue in issues:
            _log.error("%s", issue)
        _log.error("the reload changed nothing: correct the file (policyd config check) and reload again")
        self._metrics.reloaded("failed")
        return Reloaded([], issues)

    def _loaded(self, config: Config) -> None:
        self._metrics.config_loaded(time.time(), len(config.stale))
        for issue in config.stale_issues:
            _log.error("%s", issue)
        for file in config.stale:
            _log.error("%s is bad: its last good text stays in force until it is corrected", file)
