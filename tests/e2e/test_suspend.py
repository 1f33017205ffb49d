"""Suspending a customer on a host with a real Postfix: what is in the queue, what comes, what goes on."""

import json
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from policyd.cli.client import AdminClient
from tests.support.command import PROGRAM, policyd
from tests.support.daemon import LocalDaemon, Serve, rate
from tests.support.dovecot import Dovecot
from tests.support.postfix import Postfix
from tests.support.smtp import Login, Session, send
from tests.support.wait import until

ALICE, BOB, CAROL = Login("alice@busy.test"), Login("bob@busy.test"), Login("carol@quiet.test")
RECIPIENTS = ["r@remote.test"]
MESSAGES = 500
WAITING = """\
# Nothing is delivered: all mail stays in the queue.
defer_transports = discard
smtpd_recipient_restrictions = {check}, permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination
"""


class Host:
    """A mail host with its queue and its policyd, and the commands that root runs there."""

    def __init__(self, postfix: Postfix, daemon: LocalDaemon) -> None:
        self.postfix, self.daemon = postfix, daemon

    def run(self, *arguments: str, given: str = "") -> str:
        """Return the output of a command that must succeed."""
        environ = {"POLICYD_ADMIN": str(self.daemon.admin), "MAIL_CONFIG": str(self.postfix.config)}
        done = subprocess.run(
            [PROGRAM, *arguments], input=given, env=environ, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def suspend(self, subject: str, *arguments: str, given: str = "") -> str:
        """Run ``policyd suspend``."""
        return self.run("suspend", subject, "--reason", "phishing", *arguments, given=given)

    def queued(self) -> Counter[tuple[str, str]]:
        """Return how many messages of each sender are in each queue, when none is on its way any more."""
        until(self._at_rest, "the queue is at rest")
        return Counter((one["sender"], one["queue_name"]) for one in self.postfix.queue())

    def _at_rest(self) -> bool:
        return all(one["queue_name"] in {"deferred", "hold"} for one in self.postfix.queue())

    def fill(self, sender: str, count: int, login: Login | None, source: str = "127.0.0.1") -> None:
        """Send messages that stay in the queue."""
        port = self.postfix.port("submission" if login else "smtp")
        with Session(port, login, source) as session:
            for number in range(count):
                assert session.send(sender, [f"r{number}@mail.hosted.test"]).queued == 1
        self.queued()


@pytest.fixture
def host(serve: Serve, postfix: Postfix) -> Iterator[Host]:
    """Run a policyd behind the Postfix whose mail waits."""
    limits = {"domain-hourly": rate(10_000)}
    daemon = serve(["busy.test", "quiet.test", "mail.hosted.test"], limits)
    yield Host(postfix, daemon)
    postfix.delete(one["queue_id"] for one in postfix.queue())


@pytest.fixture(scope="module")
def postfix(dovecot: Dovecot) -> Iterator[Postfix]:
    """Run a Postfix that delivers nothing."""
    made = Postfix(dovecot.socket)
    made.add("smtp", {})
    made.add("submission", {"smtpd_sasl_auth_enable": "yes"})
    made.append(main=WAITING.format(check=made.check()))
    try:
        made.start()
        yield made
    finally:
        made.stop()


def test_a_queue_of_500_messages_of_three_senders(host: Host) -> None:
    """Those of the suspended domain are put on hold, by login or by sender, and released by its end; no others."""
    host.fill("alice@busy.test", 200, ALICE)
    host.fill("made-up@elsewhere.test", 100, BOB)
    host.fill("carol@quiet.test", 200, CAROL)
    assert sum(host.queued().values()) == MESSAGES
    kept = held_by_hand(host, "alice@busy.test", 5)

    output = host.suspend("busy.test", "--queue", "hold", given="y\n")

    assert "295 messages of busy.test in the queue" in output
    assert output.splitlines()[-1] == "295 messages put on hold"
    assert host.queued() == {
        ("alice@busy.test", "hold"): 200,
        ("made-up@elsewhere.test", "hold"): 100,
        ("carol@quiet.test", "deferred"): 200,
    }

    assert host.run("resume", "busy.test") == "busy.test may send again\n295 messages released from hold\n"
    assert host.queued() == {
        ("alice@busy.test", "hold"): 5,
        ("alice@busy.test", "deferred"): 195,
        ("made-up@elsewhere.test", "deferred"): 100,
        ("carol@quiet.test", "deferred"): 200,
    }
    assert {one["queue_id"] for one in host.postfix.queue() if one["queue_name"] == "hold"} == set(kept)


def held_by_hand(host: Host, sender: str, count: int) -> list[str]:
    """Put some messages of a sender on hold as an administrator does, and return their ids."""
    ids = [one["queue_id"] for one in host.postfix.queue() if one["sender"] == sender][:count]
    command = ["postsuper", "-c", str(host.postfix.config), "-h", "-"]
    subprocess.run(command, input="".join(f"{one}\n" for one in ids), text=True, check=True, capture_output=True)
    return ids


def test_one_login_of_a_domain(host: Host) -> None:
    """What others of the domain have sent stays as it is, also what they sent in his name."""
    host.fill("alice@busy.test", 3, ALICE)
    host.fill("bob@busy.test", 2, ALICE)
    host.fill("bob@busy.test", 4, BOB)
    host.fill("bob@busy.test", 1, None)

    output = host.suspend("bob@busy.test", "--queue", "hold", "--yes", "--json")

    assert json.loads(output)["queue"] == {"found": 5, "held": 5, "deleted": 0, "released": 0}
    assert host.queued() == {
        ("alice@busy.test", "deferred"): 3, ("bob@busy.test", "deferred"): 2, ("bob@busy.test", "hold"): 5,
    }  # fmt: skip


def test_delete(host: Host) -> None:
    """Its messages are gone, those on hold too; mail from outside in its name is not its own."""
    host.fill("alice@busy.test", 4, ALICE)
    host.fill("alice@busy.test", 2, None, source="127.0.0.2")
    held_by_hand(host, "alice@busy.test", 1)

    output = host.suspend("busy.test", "--queue", "delete", "--yes")

    assert output.splitlines()[-1] == "4 messages deleted"
    assert sum(host.queued().values()) == 2


def test_nothing_is_touched_without_a_yes(host: Host) -> None:
    """The suspension is in force all the same."""
    host.fill("alice@busy.test", 2, ALICE)

    output = host.suspend("busy.test", "--queue", "delete", given="n\n")

    assert "2 messages of busy.test in the queue" in output
    assert sum(host.queued().values()) == 2
    assert send(host.postfix.port("submission"), "x@busy.test", RECIPIENTS, ALICE).codes == [550]


def test_sending_stops_and_receiving_goes_on(host: Host) -> None:
    """A login hears 550, a script 450, another customer and mail from outside 250."""
    smtp, submission = host.postfix.port("smtp"), host.postfix.port("submission")
    host.suspend("busy.test")

    refused = send(submission, "alice@busy.test", RECIPIENTS, ALICE).rcpt[0]
    assert refused.code == 550
    assert "Sending is suspended; please contact your provider; ref " in refused.text
    assert send(smtp, "www@busy.test", RECIPIENTS).codes == [450]
    assert send(submission, "carol@quiet.test", RECIPIENTS, CAROL).codes == [250]
    assert send(smtp, "x@remote.test", ["me@mail.hosted.test"], source="127.0.0.2").codes == [250]

    host.run("resume", "busy.test")
    assert send(submission, "alice@busy.test", RECIPIENTS, ALICE).codes == [250]


def test_what_was_held_is_released_after_the_suspension_has_ended_by_itself(host: Host) -> None:
    """It stays on hold until somebody says so."""
    host.fill("alice@busy.test", 2, ALICE)
    host.suspend("busy.test", "--queue", "hold", "--yes")
    soon = host.daemon.clock.now() + 1000
    AdminClient(str(host.daemon.admin)).post("/v1/suspend", subject="busy.test", reason="phishing", until=soon)
    host.daemon.advance(1000)
    assert send(host.postfix.port("submission"), "alice@busy.test", RECIPIENTS, ALICE).codes == [250]

    assert host.queued() == {("alice@busy.test", "hold"): 2, ("alice@busy.test", "deferred"): 1}
    assert host.run("resume", "busy.test").endswith("2 messages released from hold\n")


def test_a_message_that_leaves_meanwhile_stops_nothing(host: Host, tmp_path: Path) -> None:
    """Postcat fails for it, and all others are found."""
    host.fill("alice@busy.test", 30, ALICE)
    queue = host.postfix.queue()
    (tmp_path / "listed").write_text("".join(json.dumps(one) + "\n" for one in queue))
    once = tmp_path / "postqueue"
    first = f"cd {tmp_path}; mv listed shown 2>/dev/null && exec cat shown"
    once.write_text(f'#!/bin/sh\n{first}\nexec /usr/sbin/postqueue "$@"\n')
    once.chmod(0o755)
    host.postfix.delete(one["queue_id"] for one in queue[::10])

    environ = {"POLICYD_ADMIN": str(host.daemon.admin), "MAIL_CONFIG": str(host.postfix.config)}
    words = ("suspend", "busy.test", "--reason", "x", "--queue", "delete", "--yes", "--json")
    done = policyd(*words, **environ, PATH=f"{tmp_path}:/usr/bin:/bin")

    assert (tmp_path / "shown").exists()
    assert json.loads(done.stdout)["queue"]["found"] == 27
    assert host.queued() == {}
