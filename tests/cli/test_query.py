"""``policyd query``: ask a running daemon as Postfix would."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Serve, Site
from tests.support.command import policyd

ALICE = ("sasl_username=alice@example.org", "sender=alice@example.org", "recipient=bob@remote.test")


def test_an_answer(site: Site) -> None:
    """The action is printed as Postfix gets it, and what is accepted is charged, once for each query."""
    answers = [site.run("query", *ALICE) for _ in range(3)]

    assert answers[:2] == [(0, "action=DUNNO\n", "")] * 2
    assert answers[2][0] == 0
    assert answers[2][1].startswith("action=550 5.7.1 Limit user-hourly: 2 of 2 recipients in 1h used; ")
    assert site.used("example.org", "domain-hourly") == 2


def test_over_tcp(serve: Serve) -> None:
    """The admin socket says which port it is, also when the system chose it."""
    site = serve(listen={"postfix": ["127.0.0.1:0"], "trust_tcp": True})
    (address,) = site.ask("/v1/daemon")["listen"]["postfix"]

    assert site.run("query", *ALICE) == (0, "action=DUNNO\n", "")
    assert policyd("query", "--to", address, *ALICE, POLICYD_ADMIN="/nowhere").stdout == "action=DUNNO\n"


def test_a_named_listener(site: Site) -> None:
    """With --to no admin socket is needed."""
    done = policyd("query", "--to", f"unix:{site.policy}", *ALICE, POLICYD_ADMIN="/nowhere")

    assert (done.returncode, done.stdout) == (0, "action=DUNNO\n")


def test_json(site: Site) -> None:
    """--json has the whole request and the action."""
    code, output, _ = site.run("query", *ALICE, "--json")
    answer = json.loads(output)

    assert (code, answer["action"]) == (0, "DUNNO")
    assert answer["request"]["protocol_state"] == "RCPT"
    assert answer["request"]["sasl_username"] == "alice@example.org"


def test_a_local_script(site: Site) -> None:
    """Without a login the request is that of a script on this host."""
    site.run("query", "sender=www@example.org", "recipient=bob@remote.test")

    assert site.used("example.org", "domain-hourly") == 1


def test_no_attribute(site: Site) -> None:
    """An argument that is no name=value is a usage error, which says what to write."""
    cure = "write name=value, as recipient=bob@example.net"

    assert site.run("query", "alice") == (2, "", f"policyd: 'alice' is no attribute ({cure})\n")


def test_a_request_that_is_none(site: Site) -> None:
    """When the daemon hangs up the command says where to look, and exits 75."""
    code, output, errors = site.run("query", "request=nonsense")

    assert (code, output) == (75, "")
    assert errors.endswith("closed the connection without an answer (see the daemon's log)\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "nothing is asked (write attributes,"),
        (["recpient=a@b.example"], "Postfix has no attribute 'recpient' (did you mean recipient?)"),
        (["recipient"], "'recipient' is no attribute (write name=value,"),
        (["recipient=a@b.example", "--to", "nonsense"], "'nonsense' is no address (write unix:/path or host:port)"),
    ],
    ids=["nothing", "typo", "no value", "no address"],
)
def test_a_usage_that_is_none(words: list[str], said: str) -> None:
    """A mistyped question is never answered as if nothing were limited."""
    done = policyd("query", *words, POLICYD_ADMIN="/nowhere")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"policyd: {said}")


def test_no_daemon(tmp_path: Path) -> None:
    """Without a daemon the exit code is 75, and the message says what to do."""
    done = policyd("query", *ALICE, "--admin", str(tmp_path / "admin"))

    assert (done.returncode, done.stdout) == (75, "")
    cure = "is policyd running? name its admin socket with --admin or POLICYD_ADMIN"
    assert done.stderr == f"policyd: no answer from unix:{tmp_path}/admin: No such file or directory ({cure})\n"


def test_no_listener(tmp_path: Path) -> None:
    """Where nobody listens the message names the address and the option."""
    done = policyd("query", *ALICE, "--to", f"unix:{tmp_path}/policy")

    assert done.returncode == 75
    assert done.stderr.endswith("(is policyd running? name its listener with --to)\n")
