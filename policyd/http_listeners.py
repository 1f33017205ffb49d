"""The HTTP listeners of a daemon: each with its bound of connections and the key that it wants."""

from collections.abc import Callable
from contextlib import AsyncExitStack

from aiohttp.web import Application
from prometheus_client import CollectorRegistry

from policyd.clock import Clock
from policyd.logins import LoginService
from policyd.metrics import Metrics
from policyd.reload import ConfigInForce
from policyd.secret import read_key, read_token
from policyd.server.crowd import Crowd
from policyd.server.dovecot import dovecot_app
from policyd.server.http import MOST_CONNECTIONS, HttpServer, Ready, metrics_app
from policyd.server.key import Key
from policyd.server.listen import Listener


class HttpListeners:
    """Serves what has HTTP, until ``running`` is closed."""

    def __init__(self, config: ConfigInForce, metrics: Metrics, clock: Clock, running: AsyncExitStack) -> None:
        self._config, self._metrics, self._clock, self._running = config, metrics, clock, running

    async def watched(self, listener: Listener, registry: CollectorRegistry, ready: Ready) -> None:
        """Serve /metrics, /livez and /readyz. Raises ListenError for a token that cannot be read."""
        file = self._config.now.listen.metrics_token_file
        token = self._key(file, "metrics_token_file", read_token) if file else None
        await self.serve("metrics", listener, metrics_app(registry, ready, token, closed=bool(listener.endpoint.path)))

    async def dovecot(self, listener: Listener, logins: LoginService) -> None:
        """Serve Dovecot. Raises ListenError for a key that cannot be read."""
        key = self._key(self._config.now.listen.dovecot_key_file, "dovecot_key_file", read_key)
        await self.serve("dovecot", listener, dovecot_app(logins, key, self._clock))

    async def serve(self, service: str, listener: Listener, app: Application) -> None:
        """Serve an application."""
        server = HttpServer(app, Crowd(service, MOST_CONNECTIONS, self._clock, self._metrics.too_many))
        self._running.push_async_callback(server.stop)
        await server.serve(listener.sockets)
        self._metrics.count_connections(service, lambda: server.connections)

    def _key(self, file: str, name: str, read: Callable[[str], bytes]) -> Key:
        key = Key(file, f"listen.{name}", read)
        self._config.on_change(lambda _: key.reload())
        return key
