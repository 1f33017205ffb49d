"""The daemon: its parts, how they are wired, how it starts, reloads and ends.

The only module that knows every part. Tests build an App with a clock of their own and run it in
their own process; the installed command always has the system's clock.

Shutdown has named phases under one deadline: stop accepting, drain, write what is left, close the
store.
"""

import asyncio
import logging
import os
import signal
import socket
import sys
from pathlib import Path

from prometheus_client import CollectorRegistry

from policyd import __version__
from policyd.admin import AdminRoutes
from policyd.clock import Clock, SystemClock
from policyd.conf.schema import Config
from policyd.log import DecisionLog
from policyd.metrics import Metrics
from policyd.recorder import DecisionRecorder
from policyd.reload import ConfigInForce
from policyd.server.activation import passed_sockets
from policyd.server.admin import admin_app
from policyd.server.http import HttpServer, metrics_app
from policyd.server.listen import Listener, Wanted, open_listeners, raise_file_limit
from policyd.server.postfix import PostfixServer
from policyd.server.systemd import Notifier, watchdog_interval
from policyd.service import Service
from policyd.settlement import Conversation
from policyd.status import Status
from policyd.store.embedded import EmbeddedRedis
from policyd.store.index import Index
from policyd.store.redis import RedisStore, Server, Watch, read_password

DRAIN = 10_000
"""How long requests under way may take when the daemon ends, in ms."""

_FLUSH = 1.0

_log = logging.getLogger("policyd")


class App:
    """One daemon. ``path`` is the file that a reload reads again, None where there is none."""

    def __init__(self, config: Config, clock: Clock, path: Path | None, state_directory: str) -> None:
        self._clock, self._state_directory = clock, state_directory
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry, __version__)
        self.lines = DecisionLog(sys.stderr)
        self.notifier = Notifier.from_environment(os.environ)
        self.config = ConfigInForce(config, path, state_directory, self.metrics, self.notifier)
        self._embedded: EmbeddedRedis | None = None
        self._listeners: list[Listener] = []
        self._http: list[HttpServer] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Open the store and the listeners, and say that the daemon is ready.

        Raises ListenError, StateDirectoryError, StoreError; nothing is left running then.
        """
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Drain and end. Safe to call at any state of a start."""
        self.notifier.stopping()
        if hasattr(self, "postfix"):
            dropped = await self.postfix.drain(DRAIN)
            if dropped:
                _log.warning("%d connections had no answer at the deadline and were closed", dropped)
        for server in self._http:
            await server.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if hasattr(self, "store"):
            await self.index.flush()
            await self.store.close()
        if self._embedded is not None:
            await self._embedded.stop()
        for listener in self._listeners:
            listener.close()
        self.lines.flush()

    async def _start(self) -> None:
        config = self.config.now
        passed = passed_sockets(os.environ, os.getpid())
        files = raise_file_limit()
        # The store first: its lock keeps a second daemon from taking the first one's sockets.
        await self._open_store(config)
        self._listeners = open_listeners(_wanted(config), passed)
        self.index = Index(self.store)
        recorder = DecisionRecorder(self.metrics, self.lines, self.index)
        self.service = Service(config, self.store, recorder, self._clock)
        self.config.on_change(self.service.configure)
        self.postfix: PostfixServer[Conversation] = PostfixServer(self.service, self._clock, socket.gethostname())
        await self._serve(config)
        self._tasks.append(asyncio.create_task(self._flush_index()))
        self._watch(watchdog_interval(os.environ, os.getpid()))
        self.notifier.ready(f"{len(config.accounts.plans)} domains, mode {config.mode}")
        where = ", ".join(str(listener.endpoint) for listener in self._listeners)
        _log.info(
            "policyd %s ready: %s; %d domains, mode %s, at most %d open files",
            __version__, where, len(config.accounts.plans), config.mode, files,
        )  # fmt: skip

    async def _open_store(self, config: Config) -> None:
        settings = config.store
        if settings.url == "embedded":
            self._embedded = EmbeddedRedis(Path(self._state_directory))
            await self._embedded.start()
            server = Server(f"unix://{self._embedded.socket}")
        else:
            server = Server(settings.url, read_password(settings.password_file))
        watch = Watch(self.metrics.store_answered, self.metrics.store_up)
        self.store = RedisStore(server, settings.timeout, self._clock, watch)

    async def _serve(self, config: Config) -> None:
        count = len(config.listen.postfix)
        for listener in self._listeners[:count]:
            await self.postfix.serve(listener.sockets)
        self.metrics.count_connections("postfix", lambda: self.postfix.connections)
        apps = []
        if config.listen.metrics:
            apps.append(metrics_app(self.registry, self._ready))
        if config.listen.admin:
            routes = AdminRoutes(self.config, self.store, Status(self.store, self.index), self._clock)
            apps.append(admin_app(routes.routes(), os.geteuid()))
        for listener, app in zip(self._listeners[count:], apps, strict=True):
            server = HttpServer(app)
            self._http.append(server)
            await server.serve(listener.sockets)

    def _ready(self) -> tuple[bool, str]:
        if self.store.up or self.config.now.store.when_down == "accept":
            return True, ""
        return False, "the store does not answer, and store.when_down is defer"

    def _watch(self, interval: int | None) -> None:
        if interval is not None:
            self.notifier.alive()
            asyncio.get_running_loop().call_later(interval / 1000, self._watch, interval)

    async def _flush_index(self) -> None:
        while True:
            await asyncio.sleep(_FLUSH)
            await self.index.flush()

    @property
    def postfix_endpoints(self) -> list[Listener]:
        """The listeners that Postfix asks, in the order of ``listen.postfix``."""
        return self._listeners[: len(self.config.now.listen.postfix)]

    @property
    def http_endpoints(self) -> list[Listener]:
        """The listeners for metrics and admin, in that order, those that are configured."""
        return self._listeners[len(self.config.now.listen.postfix) :]


def build(
    config: Config, *, clock: Clock | None = None, path: Path | None = None, state_directory: str | None = None
) -> App:
    """Return a daemon that is not started yet."""
    return App(config, clock or SystemClock(), path, state_directory or config.store.directory)


async def run(config: Config, path: Path, state_directory: str) -> None:
    """Run the daemon until SIGTERM or SIGINT. SIGHUP reloads ``path``.

    Raises ListenError, StateDirectoryError, StoreError when it cannot start.
    """
    app = build(config, path=path, state_directory=state_directory)
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    loop.add_signal_handler(signal.SIGHUP, app.config.reload_soon)
    await app.start()
    await ending.wait()
    await app.stop()


def _wanted(config: Config) -> list[Wanted]:
    listen = config.listen
    wanted = [Wanted(endpoint, listen.postfix_mode, listen.postfix_group) for endpoint in listen.postfix]
    if listen.metrics:
        wanted.append(Wanted(listen.metrics))
    if listen.admin:
        # Rights on it are by peer credentials, so everybody may connect.
        wanted.append(Wanted(listen.admin, 0o666))
    return wanted
