"""The daemon: its parts, how they are wired, how it starts, reloads and ends.

The only module that knows every part. Tests build an App with a clock of their own and run it in
their own process; the installed command always has the system's clock.

It ends in phases, each with a bound of its own: let the delayed answers go, drain (DRAIN), end the
HTTP servers (1 s), pay back what was counted without the store (5 s), write what is left to the index
(store.timeout), close the store, end the embedded Redis (10 s).
"""

import asyncio
import logging
import os
import socket
import sys
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from prometheus_client import CollectorRegistry

from policyd import __version__
from policyd.admin.asked import Parts
from policyd.admin.routes import routes
from policyd.clock import Clock, SystemClock
from policyd.conf.away import WhenDown
from policyd.conf.schema import Config, Listen, StoreSettings
from policyd.dns.metrics import DnsMetrics
from policyd.dnswatch import DnsWatch
from policyd.endpoints import Endpoints
from policyd.errors import SecretError, StoreError, StoreUnavailable
from policyd.event import Event, EventKind
from policyd.http_listeners import HttpListeners
from policyd.log import DecisionLog
from policyd.login_recorder import LoginRecorder
from policyd.logins import LoginService
from policyd.mailman.metrics import RosterMetrics
from policyd.metrics import Metrics
from policyd.notices.metrics import NoticeMetrics
from policyd.notices.notices import Notices
from policyd.outage import Outages
from policyd.over import over
from policyd.owner import Kernel, Owners
from policyd.plural import plural
from policyd.policy.lowered import lowered
from policyd.raises import Raises
from policyd.recorder import DecisionRecorder
from policyd.reload import ConfigInForce, Reloaded
from policyd.rosterwatch import RosterWatch
from policyd.secret import read_password
from policyd.server.activation import passed_sockets
from policyd.server.admin import admin_app
from policyd.server.crowd import Crowd
from policyd.server.listen import Listener, raise_file_limit
from policyd.server.postfix import PostfixServer
from policyd.server.systemd import Notifier, watchdog_interval
from policyd.service import Service
from policyd.settlement import Conversation
from policyd.status import Status
from policyd.store.base import Store
from policyd.store.embedded import EmbeddedRedis
from policyd.store.findings import LastFindings
from policyd.store.index import Index
from policyd.store.last import LastLogins
from policyd.store.local.store import LocalStore
from policyd.store.metrics import SentinelMetrics
from policyd.store.offences import Offences
from policyd.store.redis import RedisStore, Watch
from policyd.store.seen import SeenLists
from policyd.store.server import Server
from policyd.store.trail import Trail
from policyd.striker import Striker
from policyd.suspendedfile import SuspendedFile
from policyd.suspension import Suspensions
from policyd.upkeep import Upkeep, ended
from policyd.verdicts import Kept, Usages
from policyd.watch import FileWatch

DRAIN = 10_000
"""How long requests under way may take when the daemon ends, in ms."""

_log = logging.getLogger("policyd")


class App:
    """One daemon. ``path`` is the file that a reload reads again, None where there is none."""

    def __init__(
        self, config: Config, clock: Clock, path: Path | None, state_directory: str, listen: Listen
    ) -> None:
        self._clock, self._state_directory, self._listen = clock, str(Path(state_directory).absolute()), listen
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry, __version__)
        self.lines = DecisionLog(sys.stderr)
        self.notifier = Notifier.from_environment(os.environ)
        self.config = ConfigInForce(config, path, state_directory, self.metrics, self.notifier)
        self._running = AsyncExitStack()
        self._store_answers: bool | None = None
        self._outages = Outages(clock.now, self.metrics)

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
        """Drain and end. Safe to call at any state of a start; what was opened last is closed first."""
        await self.config.close()
        self.notifier.stopping()
        await self._running.aclose()
        self.lines.flush()

    async def _start(self) -> None:
        config = self.config.now
        passed = passed_sockets(os.environ, os.getpid())
        self._files = raise_file_limit()
        # The store first: its lock keeps a second daemon from taking the first one's sockets.
        await self._open_store(config.store)
        endpoints = Endpoints(self._listen, passed)
        self._running.callback(endpoints.close)
        recorder, kernel = self._recorder, Kernel()
        self._running.callback(kernel.close)
        owners = Owners(kernel.owning, self._clock)
        counting, mirror = self._counting(config.store), self.suspensions
        self.service = Service(config, counting, recorder, self._clock, owners=owners, mirror=mirror, seen=self.seen)
        self.logins = LoginService(
            config, self.store, self._login_recorder, self._clock, mirror=self.suspensions, last_logins=self.last_logins
        )
        rosters = RosterWatch(self.config, self.service.enrolled, RosterMetrics(self.registry), self._clock)
        self.config.on_change(self.service.configure)
        self.config.on_change(self.logins.configure)
        self.config.on_reload(self._reloaded)
        self.config.find_over(self._over)
        await self._serve_http(endpoints, rosters)
        await self._serve_postfix(endpoints.postfix)
        self._watch(watchdog_interval(os.environ, os.getpid()))
        self.config.begin()
        self._look(FileWatch(self.config).run())
        self._look(self.notices.run())
        dns = DnsWatch(self.config, LastFindings(self.store), self.trail, DnsMetrics(self.registry), self._clock)
        self._look(dns.run())
        self._look(rosters.run())
        _log.info(
            "policyd %s ready: %s; %s, mode %s, at most %d open files",
            __version__, endpoints, plural(len(config.accounts.plans), "domain"), config.mode, self._files,
        )  # fmt: skip

    def _look(self, watching: Coroutine[None, None, None]) -> None:
        self._running.push_async_callback(ended, asyncio.create_task(watching))

    async def _open_store(self, settings: StoreSettings) -> None:
        if settings.url == "embedded":
            embedded = EmbeddedRedis(Path(self._state_directory))
            await embedded.start()
            self._running.push_async_callback(embedded.stop)
            settings = replace(settings, url=f"unix://{embedded.socket}", password_file="")
        watch = Watch(self.metrics.store_answered, self._store_changed)
        try:
            files = settings.password_file, settings.sentinel_password_file
            for file in filter(None, files):
                read_password(file)  # what is wrong shows at the start; each connection reads it anew
            server = Server(settings.url, *files)
            self.store = RedisStore(server, settings.timeout, self._clock, watch)
        except SecretError as error:
            raise StoreUnavailable("start", str(error)) from error
        except (OSError, ValueError) as error:
            cure = "correct store.url, and let policyd's user read the files that it names"
            raise StoreUnavailable("start", f"{settings.url} cannot be used: {error} ({cure})") from error
        SentinelMetrics(self.registry, lambda: self.store.sentinels_up)
        self.metrics.watch_breaker(lambda: self.store.breaker_open)
        self._running.push_async_callback(self._close_store)
        self.index, self.trail, self.last_logins = Index(self.store), Trail(self.store), LastLogins(self.store)
        self.suspensions, self.seen = Suspensions(self.store), SeenLists(self.store)
        suspended_file = SuspendedFile(Path(self._state_directory))
        self.suspensions.recall(suspended_file.recall())
        self.metrics.count_suspended(self.suspensions.accounts)
        self.notices = Notices(lambda: self.config.now, self.store, NoticeMetrics(self.registry))
        self.trail.on_event(self.notices.note)
        self.trail.on_event(self.metrics.happened)
        usages = Usages(self.metrics, self.index, self.notices.note)
        striker = Striker(Offences(self.store), self.suspensions, self.trail, self.metrics.trapped)
        kept = Kept(self.metrics, self.lines, self.index, self.trail, usages, striker)
        self._paid = usages.paid
        self._recorder = DecisionRecorder(kept, self._clock.now)
        self._login_recorder = LoginRecorder(kept, self._clock.now)
        upkeep = Upkeep(
            self._clock, self.store, usages, self.index, self.trail, self.last_logins, self.suspensions, suspended_file,
            self.seen, striker,
        )  # fmt: skip
        self.suspensions.on_change(upkeep.keep_suspended)
        keeping = asyncio.create_task(upkeep.run())
        self._running.push_async_callback(upkeep.end, keeping)

    def _counting(self, settings: StoreSettings) -> Store:
        """Return the store that mail is counted by."""
        if settings.when_down is not WhenDown.LOCAL:
            return self.store
        nodes, suspended = lambda: self.config.now.nodes, self.suspensions.find
        local = LocalStore(
            self.store, settings.timeout / 1000, self._clock, nodes=nodes, suspended=suspended, paid=self._paid
        )
        self.metrics.count_unpaid(lambda: local.unpaid)
        self._running.push_async_callback(local.end, asyncio.create_task(local.run()))
        return local

    async def _close_store(self) -> None:
        self._store_answers = False  # which is no news then
        await self.store.close()

    def _store_changed(self, up: bool) -> None:
        self.metrics.store_up(up)
        self._outages.changed(up)
        if up is self._store_answers:
            return
        self._store_answers = up
        if up:
            _log.info("the store answers")
        else:
            when_down = self.config.now.store.when_down
            _log.error("the store does not answer; store.when_down: %s decides until it does", when_down)

    async def _serve_http(self, endpoints: Endpoints, rosters: RosterWatch) -> None:
        serving = HttpListeners(self.config, self.metrics, self._clock, self._running)
        if endpoints.metrics:
            await serving.watched(endpoints.metrics, self.registry, self._ready)
        if endpoints.admin:
            raises = Raises(self.store)
            status = Status(self.store, self.index, raises, lambda: rosters.last.roster)
            parts = Parts(
                self.config, self.store, status, self.trail, self.index, self.last_logins, self.suspensions, self.seen,
                raises, rosters, self.service.delays, self._clock, endpoints.listening(), self._state_directory,
                lambda: self._outages.now(self.store.trouble, self.config.now.store.when_down),
            )  # fmt: skip
            await serving.serve("admin", endpoints.admin, admin_app(routes(parts), os.geteuid()))
        if endpoints.dovecot:
            await serving.dovecot(endpoints.dovecot, self.logins)

    async def _serve_postfix(self, listeners: Sequence[Listener]) -> None:
        host, malformed = socket.gethostname(), self.metrics.protocol_error
        most = min(self.config.now.listen.max_connections, self._files // 2)
        crowd = Crowd("postfix", most, self._clock, self.metrics.too_many)
        self.postfix: PostfixServer[Conversation] = PostfixServer(
            self.service, self._clock, host, malformed=malformed, crowd=crowd
        )
        self._running.push_async_callback(self._drain, self.postfix)
        for listener in listeners:
            await self.postfix.serve(listener.sockets)
        self.metrics.count_connections("postfix", lambda: self.postfix.connections)
        delays = self.service.delays
        self.metrics.count_delayed(lambda: len(delays), lambda: delays.bounds.max)

    def _reloaded(self, who: str, done: Reloaded) -> None:
        self.trail.note(Event(self._clock.now(), EventKind.RELOAD, "", "", who, done.summary()))

    async def _over(self, old: Config, new: Config) -> list[str]:
        try:
            found = await over(self.store, self.index, old, await asyncio.to_thread(lowered, old, new))
        except StoreError as error:
            return [f"who is over a lowered limit is not known: {error}"]
        return [str(one) for one in found]

    def _ready(self) -> tuple[bool, str]:
        if self.store.up or self.config.now.store.when_down is not WhenDown.DEFER:
            return True, ""
        return False, "the store does not answer, and store.when_down is defer"

    def _watch(self, interval: int | None) -> None:
        if interval is not None:
            self.notifier.alive()
            asyncio.get_running_loop().call_later(interval / 1000, self._watch, interval)

    async def _drain(self, server: PostfixServer[Conversation]) -> None:
        self.service.delays.end()
        dropped = await server.drain(DRAIN)
        if dropped:
            _log.warning("closed %s without an answer at the deadline", plural(dropped, "connection"))


def build(
    config: Config, *, clock: Clock | None = None, path: Path | None = None, state_directory: str | None = None,
    listen: Listen | None = None,
) -> App:
    """Return a daemon that is not started yet. It has the listeners of ``listen`` in place of the Config's."""
    directory = state_directory or config.store.directory
    return App(config, clock or SystemClock(), path, directory, listen or config.listen)
