"""Which messages are open, and when one was given up, so that its charges are given back.

A message ends with its END-OF-MESSAGE. It was given up when its smtpd asks about another one on the
same connection, or when the connection closed and the message was not seen again in the time that
Postfix needs to ask twice. smtpd does not tell of an RSET, a QUIT or a lost client.

Charges are given back only to kinds of traffic that have shown an END-OF-MESSAGE: a Postfix that
never asks at the end of a message must not turn into "no limit". What speaks against a kind is a
message that was given up and began after its last END-OF-MESSAGE: a network that fails takes many
messages at once, and their time may be over when no mail comes any more.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from policyd.clock import Clock, Timer
from policyd.model import PolicyRequest, Traffic, TrafficKind

GIVEN_UP_IN_A_ROW = 20
"""After so many messages of a kind that began since its last END-OF-MESSAGE its charges are final."""

_KINDS = 10_000


class Kind(NamedTuple):
    """A kind of traffic: one way by which mail reaches Postfix."""

    host: str
    server_address: str
    server_port: int
    policy_context: str
    traffic: TrafficKind

    def __str__(self) -> str:
        context = f" policy_context={self.policy_context}" if self.policy_context else ""
        return f"{self.traffic} by {self.server_address}:{self.server_port} of {self.host or 'this host'}{context}"


class OpenMessage:
    """A message between its first RCPT and its end.

    ``fingerprint`` names the last request that the store answered, ``asked`` the last one of all.
    ``charged``: the store holds receipts of it. ``uncharged`` recipients cost no call.
    ``held``: Postfix was told to hold it. Messages are numbered as they begin.
    """

    __slots__ = (
        "asked", "charged", "fingerprint", "held", "host", "instance", "kind", "number", "owner", "timer", "traffic",
        "uncharged",
    )  # fmt: skip

    def __init__(self, owner: "Conversation", instance: str, traffic: Traffic, kind: Kind, number: int) -> None:
        self.owner, self.host, self.instance = owner, owner.host, instance
        self.traffic, self.kind, self.number = traffic, kind, number
        self.asked, self.fingerprint, self.uncharged = "", "", 0
        self.charged, self.held = False, False
        self.timer: Timer | None = None


class Conversation:
    """What policyd remembers of one connection: whose it is, the message it speaks of, and whether it is gone."""

    __slots__ = ("gone", "host", "message")

    def __init__(self, host: str) -> None:
        self.host, self.gone = host, False
        self.message: OpenMessage | None = None


class _Proof:
    """Whether a kind shows its ends; ``latest`` is the message that began last before it did."""

    __slots__ = ("given_up", "latest", "shown")

    def __init__(self) -> None:
        self.shown, self.given_up, self.latest = False, 0, 0


class OpenMessages:
    """The open messages of one daemon.

    ``give_back`` undoes one; ``lost`` hears of a kind that stopped showing its END-OF-MESSAGE.
    """

    def __init__(self, clock: Clock, give_back: Callable[[OpenMessage], None], lost: Callable[[Kind], None]) -> None:
        self._clock, self._give_back, self._lost = clock, give_back, lost
        self._open: dict[tuple[str, str], OpenMessage] = {}
        self._proofs: dict[Kind, _Proof] = {}
        self._begun = 0

    def seen(self, conversation: Conversation, request: PolicyRequest) -> None:
        """Note which message a connection speaks of; a former one on it is over.

        A connection belongs to one smtpd, which has one message at a time.
        """
        former = conversation.message
        if former is not None and former.instance != request.instance:
            conversation.message = None
            self._give_up(former)
        message = self._open.get((conversation.host, request.instance))
        if message is not None:
            message.owner = conversation
            conversation.message = message
            self._stop_waiting(message)

    def opened(self, conversation: Conversation, request: PolicyRequest, traffic: Traffic) -> OpenMessage:
        """Return the open message of a request that charges an account, made when it is new.

        A message whose account has changed with the configuration is over; a new one begins.
        """
        message = self._open.get((conversation.host, request.instance))
        if message is not None and message.traffic.account == traffic.account:
            return message
        if message is not None:
            self._give_up(message)
        self._begun += 1
        kind = _kind(conversation, request, traffic.kind)
        message = OpenMessage(conversation, request.instance, traffic, kind, self._begun)
        conversation.message = message
        self._open[conversation.host, request.instance] = message
        return message

    def ended(self, conversation: Conversation, request: PolicyRequest, traffic: TrafficKind) -> None:
        """Note an END-OF-MESSAGE: this kind of traffic shows them."""
        message = self._open.pop((conversation.host, request.instance), None)
        kind = message.kind if message is not None else _kind(conversation, request, traffic)
        if len(self._proofs) >= _KINDS:
            self._proofs.clear()
        proof = self._proofs.setdefault(kind, _Proof())
        proof.shown, proof.given_up, proof.latest = True, 0, self._begun

    def closed(self, conversation: Conversation, patience: int) -> None:
        """Give up the connection's message unless it is seen again within ``patience`` ms."""
        self._wait(conversation, patience, self._give_up)

    def closed_by_us(self, conversation: Conversation, patience: int) -> None:
        """Forget the connection's message unless it is seen again within ``patience`` ms; its charges stand."""
        self._wait(conversation, patience, self._forget)

    def forget(self) -> None:
        """Forget all messages, since charges are final now; they stand."""
        for message in tuple(self._open.values()):
            self._stop_waiting(message)
        self._open.clear()

    def _wait(self, conversation: Conversation, patience: int, then: Callable[[OpenMessage], None]) -> None:
        message = conversation.message
        if message is not None and message.owner is conversation and self._is_open(message):
            message.timer = self._clock.call_later(patience, partial(then, message))

    def _stop_waiting(self, message: OpenMessage) -> None:
        if message.timer is not None:
            message.timer.cancel()
            message.timer = None

    def _forget(self, message: OpenMessage) -> None:
        del self._open[message.host, message.instance]

    def _is_open(self, message: OpenMessage) -> bool:
        return self._open.get((message.host, message.instance)) is message

    def _give_up(self, message: OpenMessage) -> None:
        if not self._is_open(message):
            return
        self._stop_waiting(message)
        self._forget(message)
        proof = self._proofs.get(message.kind)
        if not message.charged or proof is None or not proof.shown:
            return
        proof.given_up += message.number > proof.latest
        if proof.given_up > GIVEN_UP_IN_A_ROW:
            proof.shown = False
            self._lost(message.kind)
            return
        self._give_back(message)


def _kind(conversation: Conversation, request: PolicyRequest, traffic: TrafficKind) -> Kind:
    return Kind(conversation.host, request.server_address, request.server_port, request.policy_context, traffic)
