"""What is fuzzed: each target takes any bytes, and raises only where policyd has a mistake."""

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from unittest.mock import patch

from policyd.conf import postfix as asked
from policyd.conf.load import load
from policyd.errors import ConfigError, Issue, ProtocolError
from policyd.model import PolicyRequest
from policyd.wire import dovecot
from tests.support.conversation import conversation
from tests.support.policy import request

SHIPPED = Path(__file__).parents[2] / "config" / "policyd.yaml"
BAD = Path(__file__).parents[1] / "conf" / "bad"


def postfix(data: bytes) -> None:
    """Read requests of Postfix, whole and cut where the first byte says: the requests are the same."""
    cut = data[0] if data else 0
    whole, pieces = conversation([data]), conversation([data[:cut], data[cut:]])
    assert [one for one in whole if isinstance(one, PolicyRequest)] == [
        one for one in pieces if isinstance(one, PolicyRequest)
    ]


def dovecot_auth(data: bytes) -> None:
    """Read a question of Dovecot: what is read can be written, and what is wrong can be told."""
    for command in ("allow", "report"):
        login, wrong = _login(command, data)
        login.encode("utf-8", "surrogateescape")
        assert wrong.isprintable()


def _login(command: str, data: bytes) -> tuple[str, str]:
    try:
        return dovecot.decode(command, data).login, ""
    except ProtocolError as error:
        return "", str(error)


def yaml(data: bytes) -> None:
    """Load a configuration: it is one, or every mistake is told in one line."""
    path = _directory() / "policyd.yaml"
    path.write_bytes(data)
    with patch.object(asked, "local_names", lambda: frozenset({"host.example.net"})):  # of Postfix, or the resolver
        issues = _issues(path)
    assert [issue for issue in issues if not issue.problem or "\n" in str(issue)] == []


def _issues(path: Path) -> tuple[Issue, ...]:
    try:
        load(path)
    except ConfigError as error:
        return error.issues
    return ()


@cache
def _directory() -> Path:
    return Path(tempfile.mkdtemp(prefix="pd", dir="/tmp"))


class Target:
    """A target, its share of the time, and the inputs that it begins with."""

    def __init__(self, run: Callable[[bytes], None], share: float, *seeds: bytes) -> None:
        self.run, self.share, self.seeds = run, share, seeds


TARGETS = {
    "postfix": Target(postfix, 0.25, request(), request(protocol_state="END-OF-MESSAGE", recipient_count="3") * 2),
    "dovecot": Target(
        dovecot_auth, 0.25, b'{"login": "bob@example.org", "remote": "192.0.2.7", "success": true}', b"[{}]"
    ),
    "yaml": Target(yaml, 0.5, SHIPPED.read_bytes(), *(file.read_bytes() for file in sorted(BAD.glob("*.yaml")))),
}
