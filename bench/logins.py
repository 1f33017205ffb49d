"""Logins a second over kept connections, as Dovecot asks, and the latency of an answer.

    python -m bench.logins

About 45 s. Closed loop: each connection has one question out. The questioner is an asyncio program on the same
machine, so the daemon could do a little more.
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from statistics import median, quantiles
from typing import cast

import uvloop

from bench import report, setting

CONNECTIONS, PASSES, SECONDS = 32, 5, 3.0
MAILBOXES = 10_000
PORT = 10_932
KEY = "0123456789abcdef"
_EMPTY = b'{"status": 0, "msg": ""}'

Row = list[float]


def configuration(folder: Path) -> Path:
    """Write a configuration that counts POP3 logins, with the decision log on; return its path."""
    path = setting.configuration(folder, 1)
    key = folder / "dovecot.key"
    key.write_text(KEY)
    key.chmod(0o640)
    text = path.read_text()
    listening = f"listen: {{dovecot: '127.0.0.1:{PORT}', dovecot_key_file: {key}, "
    checks = "  pop-checks: {kind: rate, counts: logins, protocols: [pop3], max: 100, window: 1s}\n"
    text = text.replace("listen: {", listening, 1).replace("limits:\n", f"limits:\n{checks}", 1)
    path.write_text(text.replace("apply: [", "apply: [pop-checks, ", 1))
    return path


def question(protocol: str, number: int) -> bytes:
    """Return the request about one login, as Dovecot 2.3 writes it."""
    login = f"user{number % MAILBOXES}@domain{number % setting.DOMAINS}.test"
    fields = {
        "device_id": "", "login": login, "protocol": protocol, "pwhash": "0ed2", "remote": "192.0.2.7",
        "session_id": f"s{number}", "tls": False,
    }  # fmt: skip
    body = json.dumps(fields, separators=(",", ":"))
    head = f"POST /dovecot?command=allow HTTP/1.1\r\nHost: 127.0.0.1:{PORT}\r\nConnection: Keep-Alive\r\n"
    head += f"X-API-Key: {KEY}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return (head + body).encode()


class Questioner(asyncio.Protocol):
    """One connection: asks, waits for the answer, asks again."""

    def __init__(self, ask: Callable[[], bytes | None], took: list[float]) -> None:
        self._ask, self._took = ask, took
        self._transport: asyncio.Transport | None = None
        self._sent, self._heard = 0.0, b""
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name
        self._next()

    def data_received(self, data: bytes) -> None:
        """Note how long a whole answer took."""
        self._heard += data
        if self._heard.endswith(_EMPTY):
            self._took.append(time.perf_counter() - self._sent)
            self._heard = b""
            self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the daemon closed the connection"))

    def _next(self) -> None:
        asked, transport = self._ask(), self._transport
        assert transport is not None
        if asked is None:
            self.done.set_result(None)
            transport.close()
            return
        self._sent = time.perf_counter()
        transport.write(asked)


async def measured(protocol: str) -> Row:
    """Return logins a second and latencies in ms (p50, p90, p99) of one pass."""
    numbers, took, end = count(), list[float](), time.perf_counter() + SECONDS
    prepared = [question(protocol, number) for number in range(MAILBOXES)]

    def ask() -> bytes | None:
        return prepared[next(numbers) % MAILBOXES] if time.perf_counter() < end else None

    loop = asyncio.get_running_loop()
    made = [await loop.create_connection(lambda: Questioner(ask, took), "127.0.0.1", PORT) for _ in range(CONNECTIONS)]
    await asyncio.gather(*(questioner.done for _, questioner in made))
    cuts = quantiles(took, n=100)
    return [len(took) / SECONDS, *(1000 * cuts[at - 1] for at in (50, 90, 99))]


def passes() -> Iterator[tuple[str, Row]]:
    """Yield the rows of interleaved passes."""
    for _ in range(PASSES):
        yield "a limit looks at it: one call of the store", uvloop.run(measured("pop3"))
        yield "no limit looks at it", uvloop.run(measured("imap"))


def main() -> None:
    """Run the passes; print and write the section."""
    noise = report.Noise()
    rows: dict[str, list[Row]] = {}
    with setting.folder() as folder:
        config = configuration(folder)
        with setting.redis(folder / "redis.sock"), setting.policyd(config):
            for name, row in passes():
                rows.setdefault(name, []).append(row)
    shown = "{:,.0f} {:.2f} {:.2f} {:.2f}".format
    lines = [
        (name, *shown(*(median(column) for column in zip(*found, strict=True))).split()) for name, found in rows.items()
    ]
    table = report.table((f"{CONNECTIONS} connections", "logins/s", "p50 ms", "p90 ms", "p99 ms"), lines)
    report.write("logins", "\n\n".join(["## Logins a second", table, noise.said()]))


if __name__ == "__main__":
    main()
