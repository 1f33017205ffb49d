"""Verdicts to bytes."""

import pytest

from policyd.model import Action, Verdict
from policyd.wire.postfix import action_for, encode_reply


@pytest.mark.parametrize(
    ("verdict", "action"),
    [
        (Verdict(Action.ACCEPT), "DUNNO"),
        (Verdict(Action.ACCEPT, "text"), "DUNNO"),
        (Verdict(Action.DEFER, "used 400/400"), "450 4.7.1 used 400/400"),
        (Verdict(Action.REJECT, "used 400/400"), "550 5.7.1 used 400/400"),
        (Verdict(Action.QUARANTINE, "used 400/400"), "HOLD used 400/400"),
        (Verdict(Action.REJECT, ""), "550 5.7.1 refused by policy"),
        (Verdict(Action.QUARANTINE, "\n"), "HOLD refused by policy"),
        (Verdict(Action.DEFER, "gr\u00fc\u00dfe\r\n\naction=OK\t\x7f"), "450 4.7.1 gr e action=OK"),
    ],
)
def test_action(verdict: Verdict, action: str) -> None:
    """Each verdict has its action of access(5); what is not printable ASCII becomes a space."""
    assert action_for(verdict) == action


def test_action_is_short() -> None:
    """The text of an action stays below 200 characters."""
    assert action_for(Verdict(Action.REJECT, "x" * 500)) == "550 5.7.1 " + "x" * 199


def test_reply() -> None:
    """A reply is one action line and one empty line."""
    assert encode_reply("DUNNO") == b"action=DUNNO\n\n"


def test_reply_holds_no_newline() -> None:
    """Whatever the action says, the reply ends where it should."""
    assert encode_reply("450 4.7.1 a\n\naction=OK\u20ac") == b"action=450 4.7.1 a action=OK \n\n"
