"""The codec of Dovecot's auth policy protocol."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policyd.errors import ProtocolError
from policyd.model import LoginAnswer, LoginCommand, LoginRequest
from policyd.wire.dovecot import MAX_BODY, decode, encode

# As Dovecot 2.3.19 sends them (auth-policy.c writes keys sorted).
ALLOW = (
    b'{"device_id":"","login":"alice@hosted.test","protocol":"pop3","pwhash":"0ed2","remote":"127.0.0.1",'
    b'"session_id":"BnAIEdVggMV/AAAB","tls":false}'
)
REPORT = ALLOW.replace(b'"tls"', b'"success":true,"policy_reject":false,"tls"')
ALICE = LoginRequest(LoginCommand.ALLOW, "alice@hosted.test", "pop3", "127.0.0.1", "BnAIEdVggMV/AAAB")


def body(**fields: Any) -> bytes:
    """Return a body with some fields changed."""
    return json.dumps(json.loads(ALLOW) | fields).encode()


def test_the_request_of_2_3() -> None:
    """What Dovecot 2.3 sends before a login and after it."""
    assert decode("allow", ALLOW) == ALICE
    assert decode("report", REPORT) == ALICE._replace(command=LoginCommand.REPORT, success=True)


def test_the_request_of_2_4() -> None:
    """What Dovecot 2.4 adds makes no difference; nor do objects that a key with a slash makes."""
    more = body(fail_type="credentials", success=False, policy_reject=True, attrs={"a": {"b": [1, None]}}, tls="yes")

    assert decode("report", more) == ALICE._replace(command=LoginCommand.REPORT, policy_reject=True)


def test_what_is_missing_is_empty() -> None:
    """An object without a field has it empty, as `doveadm auth test` has no remote."""
    assert decode("allow", b"{}") == LoginRequest(LoginCommand.ALLOW, "", "", "", "")


def test_bytes_that_are_no_utf8_stay_distinct() -> None:
    """A login that is no UTF-8 is kept as it is."""
    assert decode("allow", ALLOW.replace(b"alice", b"al\xe9ce")).login == "al\udce9ce@hosted.test"


@pytest.mark.parametrize(
    ("command", "sent", "why"),
    [
        ("", ALLOW, "the command is neither allow nor report"),
        ("Allow", ALLOW, "the command is neither allow nor report"),
        ("allow", b"", "the body is no JSON"),
        ("allow", b"{", "the body is no JSON"),
        ("allow", b"[" * MAX_BODY, "the body is no JSON"),
        ("allow", b"\xff\xfe{\x00}\x00", "the body is no JSON"),
        ("allow", b"[]", "the body is no JSON object"),
        ("allow", b'"x"', "the body is no JSON object"),
        ("allow", b" " * (MAX_BODY + 1), f"the body has more than {MAX_BODY} bytes"),
        ("allow", body(login=None), "login is no plain text"),
        ("allow", body(login=["a"]), "login is no plain text"),
        ("allow", body(login="a" * 1025), "login is no plain text"),
        ("allow", body(login="a\nb"), "login is no plain text"),
        ("allow", body(protocol="pop3\x00"), "protocol is no plain text"),
        ("allow", body(remote="\x7f"), "remote is no plain text"),
        ("allow", body(session_id="\ud800"), "session_id is no plain text"),
        ("report", body(success=1), "success is neither true nor false"),
        ("report", body(policy_reject="no"), "policy_reject is neither true nor false"),
    ],
)
def test_what_is_no_request(command: str, sent: bytes, why: str) -> None:
    """What cannot be a request raises, and the text repeats nothing of the body."""
    with pytest.raises(ProtocolError) as caught:
        decode(command, sent)

    assert str(caught.value) == why


@pytest.mark.parametrize(
    ("answer", "sent"),
    [
        (LoginAnswer(0), b'{"status": 0, "msg": ""}'),
        (LoginAnswer(-1), b'{"status": -1, "msg": ""}'),
        (LoginAnswer(3), b'{"status": 3, "msg": ""}'),
        (LoginAnswer(-1, "later"), b'{"status": -1, "msg": "later"}'),
    ],
)
def test_answers(answer: LoginAnswer, sent: bytes) -> None:
    """An answer is an object of a number and a text, never null, as Dovecot's parser needs it."""
    assert encode(answer) == sent


@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_a_protocol_error(sent: bytes) -> None:
    """Nothing else is ever raised."""
    try:
        decode("allow", sent)
    except ProtocolError:
        return
    assert isinstance(json.loads(sent.decode("utf-8", "surrogateescape")), dict)


@given(st.dictionaries(st.sampled_from(["login", "remote", "protocol", "x"]), st.text(max_size=30)))
def test_a_request_can_be_a_key_of_the_store(fields: dict[str, str]) -> None:
    """Whatever was let through has bytes, and no character that could end a line."""
    try:
        request = decode("allow", json.dumps(fields).encode())
    except ProtocolError:
        return
    for text in (request.login, request.remote, request.protocol):
        assert text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape") == text
        assert "\n" not in text
