"""The listener that Dovecot asks: who may ask, what is answered, what is bounded."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from policyd.errors import ListenError
from policyd.model import LoginAnswer, LoginCommand, LoginRequest
from policyd.server import dovecot
from policyd.server.dovecot import dovecot_app
from policyd.server.key import Key
from policyd.wire.dovecot import MAX_BODY
from tests.server.conftest import Run
from tests.support.clock import ManualClock
from tests.support.httpserver import Answer, connected, http_serving
from tests.support.httpserver import ask as asked

NAMED = "listen.dovecot_key_file"
SECRET = "0123456789abcdef"
ALLOW, REPORT = "POST /dovecot?command=allow", "POST /dovecot?command=report"
BODY = b'{"login":"bob@example.org","protocol":"pop3","remote":"192.0.2.7","session_id":"s","tls":false}'
BOB = LoginRequest(LoginCommand.ALLOW, "bob@example.org", "pop3", "192.0.2.7", "s")


class Decider:
    """Answers -1 with a text, and notes what it was asked."""

    def __init__(self) -> None:
        self.seen: list[LoginRequest] = []

    async def allow(self, request: LoginRequest) -> LoginAnswer:
        """Refuse."""
        self.seen.append(request)
        return LoginAnswer(-1, "later")

    async def report(self, request: LoginRequest) -> None:
        """Note."""
        self.seen.append(request)


class Heard(NamedTuple):
    """What the client heard, and what the decider was asked."""

    answer: Answer
    seen: list[LoginRequest]


Ask = Callable[..., Heard]


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """Return a file with the key."""
    file = tmp_path / "dovecot.key"
    file.write_text(f"{SECRET}\n")
    file.chmod(0o640)
    return file


@pytest.fixture
def ask(run: Run, short_dir: Path, key_file: Path) -> Ask:
    """Return what asks the listener once."""

    def once(head: str, body: bytes = BODY, **headers: str) -> Heard:
        decider, found = Decider(), list[Answer]()

        async def scenario() -> None:
            app = dovecot_app(decider, Key(str(key_file), NAMED), ManualClock())
            async with http_serving(app, short_dir / "dovecot"):
                more = {name.replace("_", "-"): value for name, value in headers.items()}
                found.append(await asked(connected(short_dir / "dovecot"), head, body, more=more))

        run(scenario())
        return Heard(found[0], decider.seen)

    return once


def test_a_question(ask: Ask) -> None:
    """The answer is the decider's, in Dovecot's JSON."""
    heard = ask(ALLOW, X_API_Key=SECRET)

    assert (heard.answer.status, heard.answer.body) == (200, b'{"status": -1, "msg": "later"}')
    assert heard.answer.headers["Content-Type"] == "application/json"
    assert heard.seen == [BOB]


def test_a_report(ask: Ask) -> None:
    """It is noted and answered with 0, which Dovecot ignores."""
    heard = ask(REPORT, BODY.replace(b'"tls"', b'"success":true,"tls"'), X_API_Key=SECRET)

    assert (heard.answer.status, heard.answer.body) == (200, b'{"status": 0, "msg": ""}')
    assert heard.seen == [BOB._replace(command=LoginCommand.REPORT, success=True)]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"X_API_Key": ""}, 403),
        ({"X_API_Key": SECRET[:-1]}, 403),
        ({"X_API_Key": SECRET + "0"}, 403),
        ({"X_API_Key": "\u00e9"}, 403),
        ({"Authorization": f"Bearer {SECRET}"}, 401),
    ],
    ids=["none", "empty", "short", "long", "not ASCII", "elsewhere"],
)
@pytest.mark.parametrize("head", [ALLOW, REPORT])
def test_nothing_without_the_key(ask: Ask, headers: dict[str, str], status: int, head: str) -> None:
    """Who does not show the key is not heard, and learns nothing."""
    heard = ask(head, **headers)

    assert (heard.answer.status, heard.seen) == (status, [])
    assert heard.answer.body in {b"Unauthorized\n", b"Forbidden\n"}


@pytest.mark.parametrize(
    ("head", "body", "status", "why"),
    [
        (ALLOW, b"{", 400, b"the body is no JSON\n"),
        (ALLOW, b"[" * 10_000, 400, b"the body is no JSON\n"),
        (ALLOW, b'{"login": 1}', 400, b"login is no plain text\n"),
        ("POST /dovecot", BODY, 400, b"the command is neither allow nor report\n"),
        ("POST /dovecot?command=drop", BODY, 400, b"the command is neither allow nor report\n"),
        (ALLOW, b" " * (MAX_BODY + 1), 413, b""),
        ("GET /dovecot?command=allow", b"", 405, b""),
        ("POST /", BODY, 404, b""),
    ],
)
def test_what_is_no_question(ask: Ask, head: str, body: bytes, status: int, why: bytes) -> None:
    """It is refused without internals, and nobody is asked."""
    heard = ask(head, body, X_API_Key=SECRET)

    assert (heard.answer.status, heard.seen) == (status, [])
    assert heard.answer.body == why or not why


def test_a_body_that_does_not_come(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is waited for no longer than Dovecot would wait for the answer."""
    monkeypatch.setattr(dovecot, "BODY_TIMEOUT", 0.01)
    heard = ask(ALLOW, BODY, X_API_Key=SECRET, Content_Length=str(len(BODY) + 1))

    assert (heard.answer.status, heard.answer.body) == (400, b"the body did not come in time\n")


def test_strangers_are_complained_about_once_in_a_while(ask: Ask, caplog: pytest.LogCaptureFixture) -> None:
    """The log names the client's address, and neither its key nor ours."""
    ask(ALLOW, X_API_Key="a wrong key")

    (line,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert line.startswith("a client of listen.dovecot")
    assert line.endswith("shows a wrong key")
    assert SECRET not in line


def test_strangers_keep_nobody_out(run: Run, short_dir: Path, key_file: Path) -> None:
    """When all connections are taken, the oldest that has not shown the key makes room; those that have stay."""
    path = short_dir / "dovecot"

    async def scenario() -> None:
        app = dovecot_app(Decider(), Key(str(key_file), NAMED), ManualClock())
        async with http_serving(app, path, most=3):
            asked_before = await asyncio.open_unix_connection(path)
            assert await heard(*asked_before) == 200
            strangers = [await asyncio.open_unix_connection(path) for _ in range(5)]
            new = await asyncio.open_unix_connection(path)
            assert await heard(*new) == 200
            assert await heard(*asked_before) == 200
            assert await asyncio.wait_for(strangers[0][0].read(), 20) == b""
            for _, writer in (asked_before, new, *strangers):
                writer.close()

    run(scenario())


async def heard(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
    """Ask on a connection that stays, and return the HTTP status."""
    head = f"{ALLOW} HTTP/1.1\r\nHost: x\r\nX-API-Key: {SECRET}\r\nContent-Length: {len(BODY)}\r\n\r\n"
    writer.write(head.encode() + BODY)
    async with asyncio.timeout(20):
        answer = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(answer.lower().partition(b"content-length: ")[2].partition(b"\r")[0]))
    return int(answer.split()[1])


# the key


def test_a_key_that_changed(key_file: Path) -> None:
    """A reload reads it again."""
    key = Key(str(key_file), NAMED)
    key_file.write_text("another-secret-of-16")
    assert key.fits(SECRET)
    key.reload()

    assert (key.fits(SECRET), key.fits("another-secret-of-16")) == (False, True)


def test_a_key_that_cannot_be_read_any_more(key_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The former one stays, so that a mistake locks Dovecot out of nothing; the log says so."""
    key = Key(str(key_file), NAMED)
    key_file.unlink()
    key.reload()

    assert key.fits(SECRET)
    assert caplog.messages[0].endswith("the former key stays in force")


def test_no_key_no_start(tmp_path: Path) -> None:
    """The error names the command that makes one."""
    with pytest.raises(ListenError, match=r"the file is not there \(policyd init-key --file "):
        Key(str(tmp_path / "none"), NAMED)


def test_a_key_that_everybody_may_read(key_file: Path) -> None:
    """It would be none."""
    key_file.chmod(0o644)

    with pytest.raises(ListenError, match=r"every user may read it \(chgrp policyd "):
        Key(str(key_file), NAMED)


@pytest.mark.parametrize("text", ["", "\n", "short"])
def test_a_key_that_can_be_guessed(key_file: Path, text: str) -> None:
    """An empty or short one is refused."""
    key_file.write_text(text)

    with pytest.raises(ListenError, match="it has fewer than 16 bytes"):
        Key(str(key_file), NAMED)
