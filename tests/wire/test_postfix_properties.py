"""Properties of the Postfix codec that hold for whatever bytes come."""

from hypothesis import example, given
from hypothesis import strategies as st

from policyd.errors import ProtocolError
from policyd.model import Action, PolicyRequest, Verdict
from policyd.wire.postfix import PolicyConnection, action_for, encode_reply, parse, parse_any
from tests.support.conversation import conversation
from tests.support.policy import NAMES, lines, request

NUMBERS = ("client_port", "server_port", "recipient_count", "size")
VALUES = st.text(st.characters(exclude_characters="\n", exclude_categories=()), max_size=30)
DIGITS = st.one_of(st.from_regex(r"[0-9]{0,17}", fullmatch=True), VALUES)
PIECES = st.lists(st.one_of(st.binary(max_size=60), st.sampled_from([request(), b"\n", b"\n\n", b"=", b"request="])))


@st.composite
def canonical(draw: st.DrawFn) -> str:
    """Return the text of a request in Postfix's order, with and without what came with 3.8."""
    values = {name: draw(DIGITS if name in NUMBERS else VALUES) for name in NAMES if name != "request"}
    text = "".join(f"{name}={value}\n" for name, value in {"request": "smtpd_access_policy", **values}.items())
    return text + draw(
        st.sampled_from(["", "compatibility_level=3.6\n", "mail_version=3.8\n", "sender=b@hosted.test\n"])
    )


def result_of(text: str, *, fast: bool) -> PolicyRequest | str:
    """Return the request in a text, or the error that it is."""
    try:
        return parse(text) if fast else parse_any(text)
    except ProtocolError as error:
        return str(error)


@given(canonical())
def test_fast_way_is_general_way(text: str) -> None:
    """The regular expression for Postfix's order and the general way give the same."""
    assert result_of(text, fast=True) == result_of(text, fast=False)


@given(
    st.dictionaries(
        st.sampled_from(NAMES[1:]), st.text(st.characters(codec="utf-8", exclude_characters="\n")), max_size=8
    )
)
def test_decoding_whole_is_decoding_each(values: dict[str, str]) -> None:
    """What is sent is what is read, whatever characters it has."""
    plain = {name: value for name, value in values.items() if name not in NUMBERS}
    connection = PolicyConnection()
    connection.receive(lines({"request": "smtpd_access_policy", **plain}))
    found = connection.next_request()

    assert found is not None
    assert {name: getattr(found, name) for name in plain if hasattr(found, name)} == {
        name: value for name, value in plain.items() if hasattr(found, name)
    }


@given(st.binary(max_size=40).filter(lambda raw: b"\n" not in raw))
def test_any_bytes_survive(raw: bytes) -> None:
    """A value of any bytes comes back as those bytes."""
    connection = PolicyConnection()
    connection.receive(request(sender="?").replace(b"sender=?\n", b"sender=" + raw + b"\n"))
    found = connection.next_request()

    assert found is not None
    assert found.sender.encode("utf-8", "surrogateescape") == raw


@given(PIECES)
@example([b"\n", b"\n"])
def test_random_bytes(pieces: list[bytes]) -> None:
    """Random bytes give requests or a ProtocolError, and nothing else."""
    assert all(isinstance(one, PolicyRequest | str) for one in conversation(pieces))


@given(PIECES)
def test_cutting_changes_no_request(pieces: list[bytes]) -> None:
    """The same bytes give the same requests and fail or not alike, however they are cut."""
    whole = b"".join(pieces)
    by_piece = conversation(pieces)
    by_byte = conversation([bytes([byte]) for byte in whole])

    assert [one for one in by_piece if isinstance(one, PolicyRequest)] == [
        one for one in by_byte if isinstance(one, PolicyRequest)
    ]
    assert any(isinstance(one, str) for one in by_piece) == any(isinstance(one, str) for one in by_byte)


@given(st.sampled_from(Action), st.text())
def test_reply_is_one_short_line(action: Action, text: str) -> None:
    """Whatever a verdict says, the reply is one printable ASCII line and an empty one."""
    reply = encode_reply(action_for(Verdict(action, text))).decode("ascii")

    assert reply.endswith("\n\n")
    assert reply.removesuffix("\n\n").isprintable()
    assert len(reply) < 230
