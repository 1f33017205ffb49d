"""The Config in force, and how another takes its place.

A reload parses in a child process and swaps the whole; a bad file changes nothing. The listeners
and the store stay as they were at start.
"""

import asyncio
import dataclasses
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

from policyd.conf.child import load_in_child
from policyd.conf.diff import changes
from policyd.conf.schema import Config
from policyd.errors import ConfigError
from policyd.metrics import Metrics
from policyd.plural import plural
from policyd.server.systemd import Notifier

_SUMMED_UP = 3
"""Lines of a reload that its event has, of what changed and of who is over."""

_log = logging.getLogger("policyd.config")


class Reloaded(NamedTuple):
    """What a reload did.

    ``changes``: one line for each. ``issues``: the mistakes, in included files when something
    changed nevertheless. ``warnings``: what is not in force although the file says it. ``over``: who
    uses more already than a lowered limit allows.
    """

    changes: list[str]
    issues: list[str]
    warnings: list[str]
    over: list[str]

    def summary(self) -> str:
        """Return on one line what came of it: the first of its lines, and how many more there are."""
        changed = [*self.issues, *self.changes] or ["nothing changed"]
        return "; ".join(_in_short(lines) for lines in (changed, self.over) if lines)


def _in_short(lines: list[str]) -> str:
    more = f"; {len(lines) - _SUMMED_UP} more" if len(lines) > _SUMMED_UP else ""
    return "; ".join(lines[:_SUMMED_UP]) + more


async def _nobody(_old: Config, _new: Config) -> list[str]:
    return []


class ConfigInForce:
    """Holds the Config that new requests are decided by. Nothing is reloaded before ``begin``."""

    def __init__(
        self, config: Config, path: Path | None, state_directory: str, metrics: Metrics, notifier: Notifier
    ) -> None:
        self.now = config
        self.path = path
        self._state_directory, self._metrics, self._notifier = state_directory, metrics, notifier
        self._listeners: list[Callable[[Config], None]] = []
        self._told: Callable[[str, Reloaded], None] = lambda _, __: None
        self._over: Callable[[Config, Config], Awaitable[list[str]]] = _nobody
        self._one_at_a_time = asyncio.Lock()
        self._begun = self._wanted = False
        self._task: asyncio.Task[None] | None = None
        self._loaded(config)

    def on_change(self, listener: Callable[[Config], None]) -> None:
        """Have ``listener`` called with every Config that comes into force later."""
        self._listeners.append(listener)

    def on_reload(self, told: Callable[[str, Reloaded], None]) -> None:
        """Have ``told`` called after each reload with who asked for it, and what it did."""
        self._told = told

    def find_over(self, over: Callable[[Config, Config], Awaitable[list[str]]]) -> None:
        """Have ``over`` asked, after each reload, who uses more than the new of two Configs allows: a line for each."""
        self._over = over

    def begin(self) -> None:
        """Say that the daemon is ready, and do the reload that was asked for meanwhile."""
        self._begun = True
        self._notifier.ready(self._status())
        if self._wanted:
            self.reload_soon()

    def reload_soon(self) -> None:
        """Reload in the background, as SIGHUP asks. Asked for several times while one runs, one more follows."""
        self._wanted = True
        if self._begun and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._reload_while_wanted())

    async def reload(self, who: str) -> Reloaded:
        """Read the file again and put it into force, unless it is bad. Never raises for a bad file."""
        if self.path is None:
            return Reloaded([], ["this daemon was not started from a file"], [], [])
        async with self._one_at_a_time:
            reloaded = await self._read_again(self.path)
        self._told(who, reloaded)
        return reloaded

    async def close(self) -> None:
        """End a reload that is under way; none begins after it."""
        self._begun = False
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _reload_while_wanted(self) -> None:
        try:
            while self._wanted and self._begun:
                self._wanted = False
                await self.reload("SIGHUP")
        except Exception:  # noqa: BLE001  # nobody waits for this task
            _log.exception("the reload changed nothing")
        finally:
            self._task = None

    async def _read_again(self, path: Path) -> Reloaded:
        self._notifier.reloading()
        try:
            return await self._swap(await load_in_child(path, self._state_directory))
        except ConfigError as error:
            return self._failed([str(issue) for issue in error.issues])
        except OSError as error:
            return self._failed([f"{path}: {error}"])
        except Exception:
            self._metrics.reloaded("failed")
            raise
        finally:
            self._notifier.ready(self._status())

    async def _swap(self, new: Config) -> Reloaded:
        old = self.now
        static = [name for name in ("listen", "store") if getattr(new, name) != getattr(old, name)]
        warnings = [f"{name} changes at a restart only; what was in force at start stays" for name in static]
        new = dataclasses.replace(new, listen=old.listen, store=old.store)
        # Many domains take a while to compare; in a thread the loop goes on, and both are frozen.
        lines = await asyncio.to_thread(changes, old, new)
        self.now = new
        for listener in self._listeners:
            listener(new)
        for warning in warnings:
            _log.warning("%s", warning)
        for line in lines:
            _log.info("changed: %s", line)
        _log.info("configuration reloaded: %s", plural(len(lines), "change"))
        self._metrics.reloaded("ok")
        over = await self._over(old, new)
        for line in over:
            _log.warning("%s", line)
        return Reloaded(lines, self._loaded(new), warnings, over)

    def _failed(self, issues: list[str]) -> Reloaded:
        for issue in issues:
            _log.error("%s", issue)
        _log.error("the reload changed nothing: correct the file (policyd config check) and reload again")
        self._metrics.reloaded("failed")
        return Reloaded([], issues, [], [])

    def _loaded(self, config: Config) -> list[str]:
        """Log the included files that are bad, and return the same lines."""
        # By the host's clock, as all timestamps that Prometheus compares with its own; nothing is decided by it.
        self._metrics.config_loaded(time.time(), len(config.stale))
        lines = [str(issue) for issue in config.stale_issues]
        for file in config.stale:
            left_out = file in config.left_out
            what = "its domains are not served" if left_out else "its last good text stays in force"
            lines.append(f"{file} is bad: {what} until it is corrected")
        for line in lines:
            _log.error("%s", line)
        return lines

    def _status(self) -> str:
        return f"{plural(len(self.now.accounts.plans), 'domain')}, mode {self.now.mode}"
