"""Which Redis, and how a connection to it is made; redis-py reads the URL."""

import asyncio
import ssl
from typing import Any, NamedTuple

from redis.connection import parse_url

from policyd.conf.store_url import split_url
from policyd.secret import read_certificate, read_password
from policyd.store.link import Args, Connect

_OF_A_PASSWORD = ("NOAUTH", "WRONGPASS", "ERR AUTH")


class Server(NamedTuple):
    """Which Redis: the URL of ``store.url``, and the files of its password and of its sentinels', "" for none."""

    url: str
    password_file: str = ""
    sentinel_password_file: str = ""

    @property
    def place(self) -> str:
        """The URL without user and options, for people."""
        parts = split_url(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


class Login(NamedTuple):
    """How a fresh connection to ``place`` is logged in: with the password that ``file`` holds in that moment."""

    place: str
    user: str
    file: str
    database: int = 0

    def commands(self) -> list[Args]:
        """Return the commands. Raises SecretError when the file cannot be used."""
        commands: list[Args] = [("AUTH", self.user or "default", read_password(self.file))] if self.file else []
        if self.database:
            commands.append(("SELECT", str(self.database)))
        return commands

    def failed(self, why: str) -> str:
        """Return why there is no connection with where, and of a password where it is from."""
        if not why.startswith(_OF_A_PASSWORD):
            return f"{why} ({self.place})"
        return f"{why} ({self.place}; {origin(self.file, 'store.password_file')})"


def origin(file: str, key: str) -> str:
    """Return where a password is from whose file ``key`` names."""
    return f"password of {file}" if file else f"no {key}"


def options_of(query: str) -> dict[str, Any]:
    """Return what the options at the end of a URL say, as redis-py reads those of rediss://. Raises ValueError."""
    return dict(parse_url(f"rediss://host/?{query}"))  # type: ignore[no-untyped-call]


def connection(server: Server) -> tuple[Connect, Login]:
    """Return how to connect to a redis://, rediss:// or unix:// URL, and how to log in there."""
    options: dict[str, Any] = dict(parse_url(server.url))  # type: ignore[no-untyped-call]
    login = Login(server.place, options.get("username") or "", server.password_file, options.get("db") or 0)
    if path := options.get("path"):
        loop = asyncio.get_running_loop()
        return lambda factory: loop.create_unix_connection(factory, path), login
    host, port = options.get("host", "localhost"), options.get("port", 6379)
    return tcp(host, port, tls(options) if split_url(server.url).scheme == "rediss" else None), login


def tcp(host: str, port: int, context: ssl.SSLContext | None) -> Connect:
    """Return how to connect to a TCP port, by TLS when there is a context."""
    loop = asyncio.get_running_loop()
    return lambda factory: loop.create_connection(factory, host, port, ssl=context)


def tls(options: dict[str, Any]) -> ssl.SSLContext:
    """Return the context of TLS that the options of a URL ask for. Raises SecretError, OSError."""
    for option in ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile"):
        if file := options.get(option):
            read_certificate(file)
    context = ssl.create_default_context(cafile=options.get("ssl_ca_certs"))
    if options.get("ssl_check_hostname") is False or options.get("ssl_cert_reqs") == "none":
        context.check_hostname = False
    if options.get("ssl_cert_reqs") == "none":
        context.verify_mode = ssl.CERT_NONE
    if options.get("ssl_certfile"):
        context.load_cert_chain(options["ssl_certfile"], options.get("ssl_keyfile"))
    return context
