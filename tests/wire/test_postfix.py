"""The Postfix codec: bytes to requests, verdicts to bytes."""

import pytest

from policyd.errors import ProtocolError
from policyd.model import PolicyRequest
from policyd.wire import postfix
from policyd.wire.postfix import MAX_BUFFERED, MAX_REQUEST, PolicyConnection
from tests.support.policy import NAMES, TYPICAL, lines, request

EXPECTED = PolicyRequest(
    protocol_state="RCPT",
    client_address="192.0.2.17",
    client_port=43210,
    server_address="192.0.2.1",
    server_port=587,
    sender="alice@hosted.test",
    recipient="x@remote.test",
    recipient_count=0,
    queue_id="6C47A216073",
    instance="43ac.6b025c8e.6a03a.0",
    size=4000,
    sasl_username="alice@hosted.test",
    policy_context="submission",
)


def read(data: bytes) -> list[PolicyRequest]:
    """Return all the requests that stand in ``data``."""
    connection = PolicyConnection()
    connection.receive(data)
    found = []
    while (one := connection.next_request()) is not None:
        found.append(one)
    return found


def failure(data: bytes) -> str:
    """Return what the codec says of bytes that it refuses."""
    with pytest.raises(ProtocolError) as caught:
        read(data)
    return str(caught.value)


def test_typical_request() -> None:
    """The 29 attributes of Postfix 3.7 become one request."""
    assert read(request()) == [EXPECTED]


@pytest.mark.parametrize("cut", range(len(request()) + 1))
def test_cut_at_every_byte(cut: int) -> None:
    """A request in two pieces is the same request, wherever it was cut, and it comes once."""
    connection = PolicyConnection()
    connection.receive(request()[:cut])
    early = connection.next_request()
    connection.receive(request()[cut:])
    late = connection.next_request() if early is None else early

    assert (late, connection.next_request(), connection.buffered) == (EXPECTED, None, 0)


def test_byte_by_byte() -> None:
    """A request that comes one byte at a time is complete with its last byte, not before."""
    connection = PolicyConnection()
    answers = []
    for byte in request():
        connection.receive(bytes([byte]))
        answers.append(connection.next_request())

    assert answers == [None] * (len(request()) - 1) + [EXPECTED]


def test_several_in_one_segment() -> None:
    """Requests that come together are returned one by one, in order."""
    sent = [request(recipient=f"r{number}@remote.test") for number in range(5)]

    assert [one.recipient for one in read(b"".join(sent))] == [f"r{number}@remote.test" for number in range(5)]


def test_rest_waits() -> None:
    """What follows a whole request waits for its own end."""
    connection = PolicyConnection()
    connection.receive(request() + b"request=smtpd")

    assert (connection.next_request(), connection.next_request(), connection.buffered) == (EXPECTED, None, 13)


def test_attributes_of_8_kib() -> None:
    """Attributes of the greatest length that Postfix sends are read whole."""
    long = "x" * 8_192

    assert read(request(sender=long, recipient=long, helo_name=long)) == [
        EXPECTED._replace(sender=long, recipient=long)
    ]


def test_any_order() -> None:
    """Attributes in another order mean the same."""
    assert read(lines(dict(reversed(list(TYPICAL.items()))))) == [EXPECTED]


def test_newer_postfix() -> None:
    """Attributes that a newer Postfix adds, in the middle or at the end, change nothing."""
    later = request()[:-1] + b"compatibility_level=3.6\nmail_version=3.8.1\n\n"
    middle = request().replace(b"policy_context=", b"tls_sni=mx.hosted.test\npolicy_context=")

    assert read(later + middle) == [EXPECTED, EXPECTED]


def test_old_postfix() -> None:
    """Attributes that an older Postfix does not know are unavailable: "" or 0."""
    sent = {"request": "smtpd_access_policy", "protocol_state": "RCPT", "sender": "a@hosted.test"}
    nothing = PolicyRequest("RCPT", "", 0, "", 0, "a@hosted.test", "", 0, "", "", 0, "", "")

    assert read(lines(sent)) == [nothing]


def test_no_recipient() -> None:
    """A request without the recipient attribute has an empty recipient."""
    sent = {name: value for name, value in TYPICAL.items() if name != "recipient"}

    assert read(lines(sent)) == [EXPECTED._replace(recipient="")]


@pytest.mark.parametrize("name", ["client_port", "server_port", "recipient_count", "size"])
def test_empty_number(name: str) -> None:
    """A number that is left empty is 0, in Postfix's order and in any other."""
    expected = PolicyRequest(**{**EXPECTED._asdict(), name: 0})

    assert read(request(**{name: ""}) + lines({**TYPICAL, name: ""})) == [expected, expected]


def test_last_duplicate_wins() -> None:
    """Of an attribute that comes twice the last value counts."""
    assert read(request()[:-1] + b"sender=second@hosted.test\n\n") == [EXPECTED._replace(sender="second@hosted.test")]


def test_first_equals_separates() -> None:
    """A value may hold "=" and spaces."""
    assert read(request(sender="a=b c=@hosted.test")) == [EXPECTED._replace(sender="a=b c=@hosted.test")]


def test_carriage_return_stays() -> None:
    """A CR at the end of a value belongs to the value."""
    assert read(request(sender="a@hosted.test\r")) == [EXPECTED._replace(sender="a@hosted.test\r")]


def test_unicode_line_ends_stay() -> None:
    """Only LF ends a line: other characters that Unicode calls line ends belong to the value."""
    sender = "a\x0b\x0c\x1c\x85\u2028b@hosted.test"

    assert read(request(sender=sender) + lines({**TYPICAL, "sender": sender})) == [EXPECTED._replace(sender=sender)] * 2


def test_undecodable_bytes_stay_apart() -> None:
    """Bytes that are not UTF-8 are kept, so that two different senders never become one."""
    one, other = read(
        request().replace(b"sender=alice", b"sender=\xe9") + request().replace(b"sender=alice", b"sender=\xe8")
    )

    assert one.sender.encode("utf-8", "surrogateescape") == b"\xe9@hosted.test"
    assert other.sender.encode("utf-8", "surrogateescape") == b"\xe8@hosted.test"


@pytest.mark.parametrize("name", ["client_port", "server_port", "recipient_count", "size"])
@pytest.mark.parametrize(
    "value", ["x", "-1", "+1", " 1", "1 ", "1_0", "0x10", "1.5", "\u0663", "9" * 16, "9" * 5_000, "1\r"]
)
def test_bad_number(name: str, value: str) -> None:
    """What is not 1 to 15 decimal digits is an error and never a 0 that charges nothing."""
    assert f"{name}=" in failure(request(**{name: value}))


def test_large_number() -> None:
    """Fifteen digits are read exactly."""
    assert read(request(size="999999999999999")) == [EXPECTED._replace(size=999_999_999_999_999)]


@pytest.mark.parametrize(
    "sent",
    [
        request(request="junk"),
        request(request="smtpd_access_policy2"),
        request(request=""),
        request()[:-1] + b"request=other\n\n",
        b"sender=a@hosted.test\n\n",
    ],
    ids=["other", "longer", "empty", "duplicate", "missing"],
)
def test_other_request(sent: bytes) -> None:
    """A request that is not smtpd_access_policy is refused."""
    assert "instead of request=smtpd_access_policy" in failure(sent)


@pytest.mark.parametrize(
    "sent", [b"GET / HTTP/1.1\nHost: x\n\n", request()[:-1] + b"junk\n\n", b"\n\n", b"\n" + request()],
    ids=["http", "junk", "empty", "leading"],
)  # fmt: skip
def test_line_without_equals(sent: bytes) -> None:
    """A line without "=" is refused, and so is an empty request."""
    assert "has no '='" in failure(sent)


@pytest.mark.parametrize("sent", [b"\n", b"\r\n"], ids=["lf", "crlf"])
def test_empty_request_is_refused_at_once(sent: bytes) -> None:
    """A request that begins with its end is refused without waiting for more."""
    assert failure(sent) == "a request is empty"


def test_crlf_client() -> None:
    """A client whose lines end in CR LF is told so, instead of waiting for ever."""
    assert failure(request().replace(b"\n", b"\r\n")) == "lines end in CR LF, where Postfix sends LF"


@pytest.mark.parametrize("cut", range(1, 6))
def test_crlf_client_in_pieces(cut: int) -> None:
    """The empty line of a CR LF client is found across pieces too."""
    connection = PolicyConnection()
    data = b"a=b\r\n\r\n"
    connection.receive(data[:cut])
    assert connection.next_request() is None
    connection.receive(data[cut:])

    with pytest.raises(ProtocolError, match="CR LF"):
        connection.next_request()


def of_length(length: int) -> bytes:
    """Return a request of exactly ``length`` bytes."""
    return request(helo_name="x" * (length - len(request(helo_name=""))))


def test_longest_request() -> None:
    """A request of 64 KiB is read; one byte more is refused, in one piece or in two."""
    assert read(of_length(MAX_REQUEST)) == [EXPECTED]
    assert "longer than" in failure(of_length(MAX_REQUEST + 1))
    assert "longer than" in failure(of_length(MAX_REQUEST + 1)[:MAX_REQUEST])


def test_longest_request_in_pieces() -> None:
    """A request of 64 KiB whose last byte comes later is read."""
    connection = PolicyConnection()
    data = of_length(MAX_REQUEST)
    connection.receive(data[:-1])
    assert connection.next_request() is None
    connection.receive(data[-1:])

    assert connection.next_request() == EXPECTED


def test_flood_is_bounded() -> None:
    """A peer that sends on without waiting is refused before its bytes fill the memory."""
    connection = PolicyConnection()
    connection.receive(b"x" * MAX_BUFFERED)

    with pytest.raises(ProtocolError, match="without waiting"):
        connection.receive(b"x")
    assert connection.buffered == 0


def test_error_is_final() -> None:
    """After an error every call raises it again, even for a good request."""
    connection = PolicyConnection()
    connection.receive(b"junk\n\n")
    with pytest.raises(ProtocolError, match="junk"):
        connection.next_request()

    with pytest.raises(ProtocolError, match="junk"):
        connection.receive(request())
    with pytest.raises(ProtocolError, match="junk"):
        connection.next_request()


def test_error_quotes_little() -> None:
    """An error message quotes a little of what came, in ASCII, on one line."""
    message = failure(b"\xff\x00\r" + b"x" * 9_000 + b"\n\n")

    assert len(message) < 200
    assert message.isascii()
    assert message.isprintable()


def test_names_are_postfix_names() -> None:
    """The helper of these tests sends what Postfix 3.7 sends: 29 attributes."""
    assert (len(NAMES), request().count(b"\n")) == (29, 30)


def test_postfix_order_takes_the_fast_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Postfix sends, from 3.7 on, never needs the general way."""

    def general(text: str) -> PolicyRequest:
        raise AssertionError(text)

    monkeypatch.setattr(postfix, "parse_any", general)

    assert read(request() + request()[:-1] + b"compatibility_level=3.6\nmail_version=3.8.1\n\n") == [EXPECTED, EXPECTED]
