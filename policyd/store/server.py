"""Which Redis, and how a connection to it is made; redis-py reads the URL."""

import asyncio
import ssl
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from redis.connection import parse_url

from policyd.secret import read_certificate
from policyd.store.link import Args, Connect


class Server(NamedTuple):
    """Which Redis: the URL of ``store.url`` and the passwords, "" for none: its own, and that of its sentinels."""

    url: str
    password: str = ""
    sentinel_password: str = ""


def login(username: str, password: str, database: int = 0) -> list[Args]:
    """Return the commands with which a fresh connection is logged in."""
    commands: list[Args] = [("AUTH", username or "default", password)] if password else []
    if database:
        commands.append(("SELECT", str(database)))
    return commands


def options_of(query: str) -> dict[str, Any]:
    """Return what the options at the end of a URL say, as redis-py reads those of rediss://. Raises ValueError."""
    return dict(parse_url(f"rediss://host/?{query}"))  # type: ignore[no-untyped-call]


def connection(server: Server) -> tuple[Connect, list[Args]]:
    """Return how to connect to a redis://, rediss:// or unix:// URL, and how to log in there."""
    options: dict[str, Any] = dict(parse_url(server.url))  # type: ignore[no-untyped-call]
    secret = server.password or options.get("password") or ""
    commands = login(options.get("username") or "", secret, options.get("db") or 0)
    if path := options.get("path"):
        loop = asyncio.get_running_loop()
        return lambda factory: loop.create_unix_connection(factory, path), commands
    host, port = options.get("host", "localhost"), options.get("port", 6379)
    return tcp(host, port, tls(options) if urlsplit(server.url).scheme == "rediss" else None), commands


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
