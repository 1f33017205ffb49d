"""The next hop of the test's Postfix: an aiosmtpd server that keeps what it was given."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.support.loop import LoopThread
from tests.support.wait import until

RefuseRule = Callable[[str], str]
"""Takes a recipient and returns the reply that refuses it, or "" to accept it."""


@dataclass(frozen=True)
class Delivery:
    """One message as it arrived at the next hop."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes


@dataclass
class Sink:
    """An SMTP server on a free loopback port. ``refuse`` may be replaced at any time."""

    refuse: RefuseRule = lambda _recipient: ""
    deliveries: list[Delivery] = field(default_factory=list)
    port: int = 0

    def start(self) -> None:
        """Listen, in a thread of its own."""
        self._thread = LoopThread("sink")
        self._server = self._thread.run(self._listen())
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Close the port and end the thread."""
        self._server.close()
        self._thread.close()

    def to(self, domain: str) -> list[Delivery]:
        """Return the deliveries with a recipient in ``domain``."""
        return [one for one in self.deliveries if any(name.endswith(f"@{domain}") for name in one.recipients)]

    def wait(self, domain: str, recipients: int = 1) -> list[Delivery]:
        """Return the deliveries to ``domain`` as soon as they have that many recipients in all."""

        def enough() -> list[Delivery]:
            found = self.to(domain)
            return found if sum(len(one.recipients) for one in found) >= recipients else []

        return until(enough, f"{recipients} recipients of {domain} reach the next hop")

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Accept a recipient or answer what ``refuse`` says."""
        if reply := self.refuse(address):
            return reply
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Keep the message."""
        content = envelope.original_content or b""
        self.deliveries.append(Delivery(envelope.mail_from or "", tuple(envelope.rcpt_tos), content))
        return "250 OK"

    async def _listen(self) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        return await loop.create_server(lambda: SMTP(self, hostname="sink.test", loop=loop), "127.0.0.1", 0)
