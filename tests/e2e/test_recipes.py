"""The README's blocks for main.cf and master.cf, word for word, in a Postfix of its own."""

import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Thread

import pytest

from tests.support.mailhost import list_recipe, master_recipe
from tests.support.ports import free_port
from tests.support.postfix import Postfix
from tests.support.readme import blocks
from tests.support.responder import Responder
from tests.support.sink import Sink
from tests.support.smtp import send
from tests.support.wait import until

Prepare = Callable[[Postfix], None]
Recipe = Callable[[Prepare], tuple[Postfix, Responder]]


@pytest.fixture
def recipe(sink: Sink) -> Iterator[Recipe]:
    """Return what starts a Postfix with the recipe, prepared by the test, and somebody who answers it."""
    with ExitStack() as running:

        def start(prepare: Prepare) -> tuple[Postfix, Responder]:
            host = Postfix(next_hop=sink.port)
            running.callback(host.stop)
            recipes = "".join(map(blocks, ("main.cf", "main.cf pickup", "main.cf lists")))
            host.append(main=recipes, master=master_recipe(free_port()) + list_recipe(free_port()))
            host.add("smtp", {})
            prepare(host)
            host.start()
            responder = Responder(host.policy)
            responder.start()
            running.callback(responder.stop)
            return host, responder

        yield start


def states(responder: Responder, sender: str) -> list[tuple[str, str]]:
    """Return state and policy_context of the requests about a sender, in order."""
    return [(one["protocol_state"], one["policy_context"]) for one in responder.asked(sender=sender)]


def test_every_way_of_mail_is_asked_about_once(recipe: Recipe, sink: Sink, domain: str) -> None:
    """SMTP mail and sendmail(1) mail are asked about at each recipient and at the end, with their context."""
    host, responder = recipe(lambda _: None)
    target = f"{domain}.sink.test"
    assert send(host.port("smtp"), f"a@{domain}", [f"x@{target}", f"y@{target}"]).queued == 2
    host.sendmail(f"www@{domain}", [f"z@{target}"])
    sink.wait(target, 3)
    assert states(responder, f"a@{domain}") == [("RCPT", ""), ("RCPT", ""), ("END-OF-MESSAGE", "")]
    assert states(responder, f"www@{domain}") == [("RCPT", "pickup"), ("END-OF-MESSAGE", "pickup")]


def test_config_check_finds_no_fault_with_the_recipe(recipe: Recipe) -> None:
    """Neither Postfix nor ``policyd config check --postfix`` has anything to say against the README's set-up."""
    host, _ = recipe(lambda _: None)
    assert host.complaints() == ""
    shipped = (Path(__file__).parents[2] / "config" / "policyd.yaml").read_text()
    assert "/var/spool/postfix/policyd/policy" in shipped
    configuration = host.base / "policyd.yaml"
    configuration.write_text(shipped.replace("/var/spool/postfix/policyd/policy", str(host.policy)))
    options = ["--config", str(configuration), "--postfix", "--postfix-config", str(host.config)]
    command = [str(Path(sys.executable).parent / "policyd"), "config", "check", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "error:" not in done.stdout + done.stderr


def test_mail_flows_while_no_policyd_runs(recipe: Recipe, sink: Sink, domain: str) -> None:
    """The recipe's default_action lets mail pass that nobody answers for."""
    host, responder = recipe(lambda _: None)
    responder.stop()
    target = f"{domain}.sink.test"
    assert send(host.port("smtp"), f"a@{domain}", [f"x@{target}"]).queued == 1
    sink.wait(target, 1)


def test_a_global_content_filter_stays_in_force(recipe: Recipe, sink: Sink, domain: str) -> None:
    """Mail by SMTP and mail from sendmail(1) reach the filter once each, the latter after policyd was asked."""
    filter_ = "scan unix - - n - - smtp\n"

    def prepare(host: Postfix) -> None:
        host.append(main=f"content_filter = scan:[127.0.0.1]:{sink.port}\n", master=filter_)

    host, responder = recipe(prepare)
    # Not below sink.test: it is the filter, and nothing else, that brings it there.
    send(host.port("smtp"), f"a@{domain}", [f"x@{domain}.remote.test"])
    host.sendmail(f"www@{domain}", [f"y@{domain}.remote.test"])
    sink.wait(f"{domain}.remote.test", 2)
    until(lambda: host.queue() == [], "the queue is empty")
    assert sorted(one.recipients[0][0] for one in sink.to(f"{domain}.remote.test")) == ["x", "y"]
    assert states(responder, f"www@{domain}") == [("RCPT", "pickup"), ("END-OF-MESSAGE", "pickup")]


def test_rewriting_and_milters_meet_sendmail_mail_once(recipe: Recipe, sink: Sink, domain: str) -> None:
    """An alias is expanded, a header added and a milter asked in the second pass only."""
    target = f"{domain}.sink.test"
    with socket.create_server(("127.0.0.1", 0)) as milter:
        connections = count_connections(milter)

        def prepare(host: Postfix) -> None:
            (host.base / "prepend").write_text("/^Subject:/ PREPEND X-Seen: yes\n")
            (host.base / "aliases").write_text(f"/^all@{re.escape(domain)}$/ x@{target}, y@{target}\n")
            address = f"inet:127.0.0.1:{milter.getsockname()[1]}"
            host.append(
                main=f"header_checks = regexp:{host.base}/prepend\nvirtual_alias_maps = regexp:{host.base}/aliases\n"
                f"non_smtpd_milters = {address}\nmilter_default_action = accept\nsmtpd_milters =\n"
            )

        host, responder = recipe(prepare)
        host.sendmail(f"www@{domain}", [f"all@{domain}"])
        delivered = sink.wait(target, 2)
        until(lambda: connections, "the milter is asked")
    assert [one["recipient"] for one in responder.asked(protocol_state="RCPT")] == [f"all@{domain}"]
    assert [one.content.count(b"X-Seen: yes") for one in delivered] == [1] * len(delivered)
    assert sorted(name for one in delivered for name in one.recipients) == [f"x@{target}", f"y@{target}"]
    assert len(connections) == 1


def count_connections(listening: socket.socket) -> list[object]:
    """Accept and close connections in a thread; the list that is returned grows by one for each."""
    found: list[object] = []

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, peer = listening.accept()
                found.append(peer)
                connection.close()

    Thread(target=accept, name="milter", daemon=True).start()
    return found
