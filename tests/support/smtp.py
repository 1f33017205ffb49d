"""A small SMTP client for tests: one reply for every command, nothing raised for a refusal."""

import smtplib
from collections.abc import Sequence
from dataclasses import dataclass
from secrets import token_hex
from types import TracebackType
from typing import NamedTuple, Self

TIMEOUT = 90  # a large message on a busy disk takes its time, and a Postfix whose smtpd cannot start a minute to greet
BODY = b"From: test\r\nSubject: test\r\n\r\ntext\r\n"


class Reply(NamedTuple):
    """The answer to one SMTP command."""

    code: int
    text: str


class Login(NamedTuple):
    """What SMTP AUTH is done with."""

    name: str
    password: str = "secret"


@dataclass(frozen=True)
class Sent:
    """The answers to one message. ``data`` is None when DATA was not sent: nobody was accepted."""

    mail: Reply
    rcpt: tuple[Reply, ...]
    data: Reply | None

    @property
    def codes(self) -> list[int]:
        """The reply code for each recipient, in order."""
        return [reply.code for reply in self.rcpt]

    @property
    def queued(self) -> int:
        """How many recipients were accepted and are in the queue now."""
        done = self.data is not None and self.data.code == 250
        return self.codes.count(250) if done else 0


class Session:
    """One SMTP session. Left with QUIT, or without a word after ``drop``."""

    def __init__(self, port: int, login: Login | None = None, source: str = "127.0.0.1") -> None:
        self._smtp = smtplib.SMTP(local_hostname="client.test", timeout=TIMEOUT, source_address=(source, 0))
        self.banner = self._smtp.connect("127.0.0.1", port)[1].decode()
        self._smtp.ehlo()
        if login is not None:
            self._smtp.login(*login)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._smtp.sock is None:
            return
        try:
            self._smtp.quit()
        except (smtplib.SMTPServerDisconnected, OSError):
            self._smtp.close()

    @property
    def local_port(self) -> int:
        """The port of the client's end."""
        assert self._smtp.sock is not None
        port: int = self._smtp.sock.getsockname()[1]
        return port

    def mail(self, sender: str, *options: str) -> Reply:
        """Begin a message."""
        return self.command(" ".join((f"MAIL FROM:<{sender}>", *options)))

    def rcpt(self, recipient: str) -> Reply:
        """Name a recipient."""
        return self.command(f"RCPT TO:<{recipient}>")

    def data(self, body: bytes = BODY) -> Reply:
        """Send the message; the answer is to the end of it, or to DATA where that is refused."""
        reply = self.command("DATA")
        if reply.code != 354:
            return reply
        self._smtp.send(body + b".\r\n")
        return self._reply()

    def send(self, sender: str, recipients: Sequence[str], body: bytes = BODY) -> Sent:
        """Send one message to those recipients that are accepted; RSET where none is."""
        began = self.mail(sender)
        replies = tuple(self.rcpt(recipient) for recipient in recipients)
        if any(reply.code == 250 for reply in replies):
            return Sent(began, replies, self.data(body))
        self.command("RSET")
        return Sent(began, replies, None)

    def command(self, line: str | bytes) -> Reply:
        """Send one line, text as UTF-8 or bytes as they are, and return the answer."""
        raw = line if isinstance(line, bytes) else line.encode()
        self._smtp.send(raw + b"\r\n")
        return self._reply()

    def ask(self, line: str) -> None:
        """Send one line and do not wait for the answer; ``answer`` reads it."""
        self._smtp.send(line.encode() + b"\r\n")

    def answer(self) -> Reply:
        """Read the answer to ``ask``."""
        return self._reply()

    def drop(self) -> None:
        """Close the connection without QUIT."""
        self._smtp.close()

    def _reply(self) -> Reply:
        code, text = self._smtp.getreply()
        return Reply(code, text.decode())


def send(
    port: int,
    sender: str,
    recipients: Sequence[str],
    login: Login | None = None,
    *,
    source: str = "127.0.0.1",
    body: bytes = BODY,
) -> Sent:
    """Send one message in a session of its own, from the client address ``source``."""
    with Session(port, login, source) as session:
        return session.send(sender, recipients, body)


def post(port: int, author: Login, posting: str) -> Sent:
    """Send a post to a list: a message that list software takes, as it names the list."""
    names = {"From": author.name, "To": posting, "Subject": "test", "Message-ID": f"<{token_hex(8)}@client.test>"}
    head = "".join(f"{name}: {value}\r\n" for name, value in names.items())
    return send(port, author.name, [posting], author, body=f"{head}\r\ntext\r\n".encode())
