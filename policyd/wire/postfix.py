"""Sans-io codec of the Postfix policy delegation protocol (SMTPD_POLICY_README).

    request   :== (name "=" value LF)* LF        attr_scan_plain(3)
    reply     :== "action=" action LF LF

- Attributes come in any order; unknown ones are ignored, of a duplicate the last one wins.
- The first "=" of a line separates; the value is the rest of the line, a CR included. A line
  without "=" is an error, and so is an empty line that ends in CR LF: a client with such line
  ends would otherwise wait for an answer to a request that never ends.
- Values are UTF-8; other bytes become surrogates (``surrogateescape``), so that no two merge.
- A missing or empty attribute means "unavailable": "" or 0. A number that is not 1 to 15 decimal
  digits is an error, since 0 in its place would be charged as nothing. 15 digits are a petabyte,
  and every such number is exact in a double, which is all that Lua has.
"""

import re
from typing import NoReturn

from policyd.errors import ProtocolError
from policyd.model import Action, PolicyRequest, Verdict

MAX_REQUEST = 65_536
"""Bytes of one request. Postfix caps one attribute at 8,192 and sends some thirty, nearly all short."""

MAX_BUFFERED = 524_288
"""Bytes that wait in a connection: one request and what an event loop reads at once (256 KiB)."""

MAX_TEXT = 199
"""Characters of a reply's text."""

_REQUEST = "smtpd_access_policy"

# What is read of a request, in the order of PolicyRequest, which is also the order of Postfix.
_NUMBERS = frozenset({"client_port", "server_port", "recipient_count", "size"})
_READ = frozenset(PolicyRequest._fields)
_SENT = (
    "request", "protocol_state", "protocol_name", "client_address", "client_name", "client_port", "reverse_client_name",
    "server_address", "server_port", "helo_name", "sender", "recipient", "recipient_count", "queue_id", "instance",
    "size", "etrn_domain", "stress", "sasl_method", "sasl_username", "sasl_sender", "ccert_subject", "ccert_issuer",
    "ccert_fingerprint", "ccert_pubkey_fingerprint", "encryption_protocol", "encryption_cipher", "encryption_keysize",
    "policy_context",
)  # fmt: skip
_SENT_LATER = ("compatibility_level", "mail_version")  # Postfix 3.8

_ACCEPTED = b"action=DUNNO\n\n"
_NUMBER = re.compile(r"[0-9]{0,15}")
_UNPRINTABLE = re.compile(r"[^ -~]+")


def _line(name: str) -> str:
    if name == "request":
        return f"request={_REQUEST}\n"
    if name in _NUMBERS:
        return f"{name}=({_NUMBER.pattern})\n"
    return f"{name}=([^\\n]*)\n" if name in _READ else f"{name}=[^\\n]*\n"


_CANONICAL = re.compile("".join(map(_line, _SENT)) + "".join(f"(?:{_line(name)})?" for name in _SENT_LATER))


class PolicyConnection:
    """One connection's requests: bytes in, requests out. It does no I/O and reads no clock.

    An error is final: after the first ProtocolError every call raises it again.
    """

    __slots__ = ("_buffer", "_seen", "_why")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._seen = 0
        self._why = ""

    @property
    def buffered(self) -> int:
        """Bytes that were received and not yet returned as a request."""
        return len(self._buffer)

    def receive(self, data: bytes) -> None:
        """Take bytes as they come, cut anywhere.

        Raises ProtocolError when more than MAX_BUFFERED bytes wait.
        """
        if self._why:
            raise ProtocolError(self._why)
        if len(self._buffer) + len(data) > MAX_BUFFERED:
            self._fail(f"more than {MAX_BUFFERED} bytes were sent without waiting for an answer")
        self._buffer += data

    def next_request(self) -> PolicyRequest | None:
        """Return the next whole request, or None until more bytes come.

        Raises ProtocolError when what was received is not, or cannot become, a request.
        """
        if self._why:
            raise ProtocolError(self._why)
        if not self._buffer:
            return None
        end = self._buffer.find(b"\n\n", self._seen)
        if end < 0:
            self._check_unfinished()
            return None
        if end + 2 > MAX_REQUEST:
            self._fail(f"a request is longer than {MAX_REQUEST} bytes")
        text = self._buffer[: end + 1].decode("utf-8", "surrogateescape")
        del self._buffer[: end + 2]
        self._seen = 0
        try:
            return parse(text)
        except ProtocolError as error:
            self._fail(str(error))

    def _check_unfinished(self) -> None:
        buffer = self._buffer
        if buffer.startswith((b"\n", b"\r\n")):
            self._fail("a request is empty")
        if buffer.find(b"\n\r\n", max(0, self._seen - 1)) >= 0:
            self._fail("lines end in CR LF, where Postfix sends LF")
        if len(buffer) >= MAX_REQUEST:
            self._fail(f"a request is longer than {MAX_REQUEST} bytes")
        self._seen = max(0, len(buffer) - 1)

    def _fail(self, why: str) -> NoReturn:
        self._why = why
        self._buffer.clear()
        raise ProtocolError(why)


def parse(text: str) -> PolicyRequest:
    """Return the request that stands in ``text``: whole lines, without the empty one at the end.

    Raises ProtocolError. What Postfix sends, in its order, takes one regular expression.
    """
    canonical = _CANONICAL.fullmatch(text)
    if canonical is None:
        return parse_any(text)
    state, client, port, server, server_port, sender, recipient, count, queue_id, instance, size, login, context = (
        canonical.groups()
    )
    return PolicyRequest(
        state, client, int(port or 0), server, int(server_port or 0), sender, recipient, int(count or 0),
        queue_id, instance, int(size or 0), login, context,
    )  # fmt: skip


def parse_any(text: str) -> PolicyRequest:
    """Do what ``parse`` does for attributes in any order, about three times slower.

    Raises ProtocolError.
    """
    values: dict[str, str] = {}
    for line in text.removesuffix("\n").split("\n"):
        name, separator, value = line.partition("=")
        if not separator:
            raise ProtocolError(f"a line has no '=': {_excerpt(line)}")
        values[name] = value
    if values.get("request") != _REQUEST:
        raise ProtocolError(f"request={_excerpt(values.get('request', ''))} instead of request={_REQUEST}")
    return PolicyRequest(
        protocol_state=values.get("protocol_state", ""),
        client_address=values.get("client_address", ""),
        client_port=_number(values, "client_port"),
        server_address=values.get("server_address", ""),
        server_port=_number(values, "server_port"),
        sender=values.get("sender", ""),
        recipient=values.get("recipient", ""),
        recipient_count=_number(values, "recipient_count"),
        queue_id=values.get("queue_id", ""),
        instance=values.get("instance", ""),
        size=_number(values, "size"),
        sasl_username=values.get("sasl_username", ""),
        policy_context=values.get("policy_context", ""),
    )


def _number(values: dict[str, str], name: str) -> int:
    text = values.get(name, "")
    if not _NUMBER.fullmatch(text):
        raise ProtocolError(f"{name}={_excerpt(text)} is not a number of up to 15 digits")
    return int(text or 0)


def _excerpt(text: str) -> str:
    return ascii(text[:40])


def action_for(verdict: Verdict) -> str:
    """Return the access(5) action for a verdict; it is one line of printable ASCII.

    DUNNO and not OK, which would end the restriction list; a code and a text always, since digits
    alone mean OK.
    """
    if verdict.action in {Action.ACCEPT, Action.DELAY}:
        return f"FILTER {verdict.transport}" if verdict.transport else "DUNNO"
    text = _printable(verdict.text)[:MAX_TEXT].strip() or "refused by policy"
    if verdict.action is Action.DEFER:
        return f"450 4.7.1 {text}"
    if verdict.action is Action.REJECT:
        return f"550 5.7.1 {text}"
    return f"HOLD {text}"


def reply_to(verdict: Verdict) -> bytes:
    """Return the reply that tells Postfix a verdict."""
    plain = verdict.action is Action.ACCEPT and not verdict.transport
    return _ACCEPTED if plain else encode_reply(action_for(verdict))


def encode_reply(action: str) -> bytes:
    """Return the reply that carries ``action``; what is not printable ASCII becomes a space."""
    return b"action=%s\n\n" % _printable(action).encode("ascii")


def _printable(text: str) -> str:
    return text if text.isascii() and text.isprintable() else _UNPRINTABLE.sub(" ", text)
