"""Customers who send mail at the same time, one message each, so that the books show what each message was charged."""

from collections import Counter
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from threading import Thread

from tests.support.smtp import Sent, send
from tests.support.wait import until

NAMES = ("x", "y")
"""Each customer writes to one address of his own for each of these."""
PATIENCE = 60.0


class Customers:
    """Sends over ``clients`` SMTP sessions at once from ``start`` to ``finish``, ``most`` messages at most.

    ``begun`` are the customers whose turn has come, and ``sent`` has the answers that they got.
    """

    def __init__(self, port: int, domain: str, most: int, clients: int) -> None:
        self.accounts = [f"m{number}.{domain}" for number in range(most)]
        self.target = f"{domain}.sink.test"
        self.begun: list[str] = []
        self.sent: dict[str, Sent] = {}
        self._port, self._waiting = port, SimpleQueue[str]()
        for account in self.accounts:
            self._waiting.put(account)
        self._threads = [Thread(target=self._send_all, daemon=True) for _ in range(clients)]

    def recipients(self, account: str) -> list[str]:
        """Return whom a customer writes to."""
        return [f"{name}-{account.partition('.')[0]}@{self.target}" for name in NAMES]

    def start(self) -> None:
        """Begin to send."""
        for thread in self._threads:
            thread.start()

    def finish(self) -> None:
        """Begin no more messages, and wait until all are answered."""
        assert not self._waiting.empty(), "the messages did not last"
        while not self._waiting.empty():
            self._taken()
        for thread in self._threads:
            thread.join(PATIENCE)

    def wait_sent(self, more: int) -> None:
        """Wait until so many more messages were answered, accepted or not."""
        enough = len(self.sent) + more
        until(lambda: len(self.sent) >= enough, f"{more} more messages were answered", PATIENCE)

    def wait_under_way(self) -> None:
        """Wait until all messages that are under way now were answered."""
        begun = set(self.begun)
        until(lambda: begun <= self.sent.keys(), "the messages that were under way were answered", PATIENCE)

    def accepted(self) -> "Counter[str]":
        """Return whom Postfix has accepted mail for, each once."""
        found: Counter[str] = Counter()
        for account, sent in self.sent.items():
            if sent.queued:
                codes = zip(self.recipients(account), sent.codes, strict=True)
                found.update(recipient for recipient, code in codes if code == 250)
        return found

    def _send_all(self) -> None:
        while account := self._taken():
            self.begun.append(account)
            self.sent[account] = send(self._port, f"shop@{account}", self.recipients(account))

    def _taken(self) -> str:
        try:
            return self._waiting.get_nowait()
        except Empty:
            return ""


def times(deliveries: Sequence[tuple[str, ...]]) -> "Counter[str]":
    """Return how often each recipient was delivered to."""
    return Counter(recipient for recipients in deliveries for recipient in recipients)
