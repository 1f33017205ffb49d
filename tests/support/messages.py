"""The open messages of a daemon, whose requests a test makes one by one."""

from policyd.model import PolicyRequest, Sure, Traffic, TrafficKind
from policyd.settlement import Conversation, Kind, OpenMessage, OpenMessages
from tests.support.clock import ManualClock
from tests.support.config import asked

HOST = "mx.host.test"


def sent_by(account: str, kind: TrafficKind = TrafficKind.USER) -> Traffic:
    """Return verified traffic of an account."""
    return Traffic(kind, account, Sure.VERIFIED, f"a@{account}", f"a@{account}")


class World:
    """The open messages of a daemon, and what they had it do."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.given_back: list[str] = []
        self.lost: list[Kind] = []
        self.messages = OpenMessages(
            self.clock, lambda message: self.given_back.append(message.instance), self.lost.append
        )

    def connection(self, host: str = HOST) -> Conversation:
        """Return a new connection."""
        return Conversation(host)

    def recipient(
        self, on: Conversation, instance: str, account: str = "example.org", **changed: object
    ) -> OpenMessage:
        """Ask about a recipient, and have it charged."""
        request = asked(instance=instance, **changed)
        self.messages.seen(on, request)
        message = self.messages.opened(on, request, sent_by(account))
        message.charged = True
        return message

    def ask(self, on: Conversation, instance: str, state: str = "DATA") -> None:
        """Ask about something that costs nothing."""
        self.messages.seen(on, asked(instance=instance, protocol_state=state))

    def end(self, on: Conversation, instance: str, **changed: object) -> None:
        """Ask about the end of a message."""
        request: PolicyRequest = asked(instance=instance, protocol_state="END-OF-MESSAGE", **changed)
        self.messages.seen(on, request)
        self.messages.ended(on, request, TrafficKind.USER)

    @property
    def remembered(self) -> int:
        """How many messages are open."""
        return len(self.messages._open)
