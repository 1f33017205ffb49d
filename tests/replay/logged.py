"""Lines as Postfix writes them: each message is one ``Written``."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

START = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
NOW = int(START.timestamp() * 1000)


def stamped(text: str, after: float = 0, host: str = "mx") -> str:
    """Return a line with an ISO stamp, so many seconds after START."""
    at = START + timedelta(seconds=after)
    return f"{at.isoformat(timespec='milliseconds')} {host} {text}"


@dataclass
class Written:
    """One message of a login, unless ``begin`` says what begins it."""

    queue_id: str
    recipients: tuple[str, ...] = ("bob@remote.test",)
    sender: str = "alice@example.org"
    login: str = "alice@example.org"
    client: str = "192.0.2.7"
    port: str = "submission"
    after: float = 0
    begin: str = ""
    more: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Return its lines, in order."""
        queue_id, port = self.queue_id, f"postfix/{self.port}" if self.port else "postfix"
        login = f", sasl_method=PLAIN, sasl_username={self.login}" if self.login else ""
        texts = [
            self.begin or f"{port}/smtpd[7]: {queue_id}: client=unknown[{self.client}]{login}",
            f"postfix/cleanup[8]: {queue_id}: message-id=<x@y>",
            *self.more,
            f"postfix/qmgr[9]: {queue_id}: from=<{self.sender}>, size=317, nrcpt={len(self.recipients)} (queue active)",
            *(
                f"postfix/smtp[10]: {queue_id}: to=<{recipient}>, relay=mx.remote.test[198.51.100.7]:25, delay=0.1, "
                "delays=0/0/0/0.1, dsn=2.0.0, status=sent (250 2.0.0 Ok)"
                for recipient in self.recipients
            ),
            f"postfix/qmgr[9]: {queue_id}: removed",
        ]
        return [stamped(text, self.after + number / 1000) for number, text in enumerate(texts)]
