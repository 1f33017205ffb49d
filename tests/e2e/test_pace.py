"""A pace through a real Postfix: by answers that wait, and by the README's slow transport."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import IPv4Network
from pathlib import Path

import pytest
import yaml

from policyd.conf.schema import Transport
from policyd.policy.pace import destination
from tests.support.daemon import LocalDaemon, Serve, rate, settings
from tests.support.mailhost import list_recipe, master_recipe, pace_recipe
from tests.support.mailman import Mailman
from tests.support.ports import free_port
from tests.support.postfix import Postfix
from tests.support.process import Process, configuration
from tests.support.readme import blocks
from tests.support.redis import RedisServer
from tests.support.sink import Sink
from tests.support.smtp import Session, send
from tests.support.wait import until

EVERY = 6000
PACE = {"kind": "pace", "per": "domain", "every": "6s", "by": "answer", "delay_up_to": "20s"}
PAGES = {"delay": {"max": 20, "per_account": 5}}


def waiting(daemon: LocalDaemon, number: int) -> None:
    """Wait until that many answers wait for their slot."""
    until(lambda: daemon.metric("policyd_delayed_answers") == number, f"{number} answers are delayed")


def test_answers_come_at_the_pace_and_others_are_not_slowed(postfix: Postfix, serve: Serve, domain: str) -> None:
    """Over three connections one recipient passes in each slot, in the order of asking; another domain has its own."""
    other = f"other-{domain}"
    daemon = serve([domain, other], {"domain-hourly": rate(400), "pace": PACE}, **PAGES)
    with ExitStack() as open_sessions:
        sessions = [open_sessions.enter_context(Session(postfix.port("smtp"))) for _ in range(3)]
        for number, session in enumerate(sessions):
            session.mail(f"shop@{domain}")
            session.ask(f"RCPT TO:<r{number}@remote.test>")
            waiting(daemon, number)
        assert send(postfix.port("smtp"), f"shop@{other}", ["x@remote.test"]).queued == 1
        assert sessions[0].answer().code == 250
        for number in (1, 2):
            daemon.advance(EVERY - 1)
            waiting(daemon, 3 - number)
            daemon.advance(1)
            assert sessions[number].answer().code == 250
            waiting(daemon, 2 - number)
        assert [session.data().code for session in sessions] == [250] * 3
    daemon.wait_used(domain, "domain-hourly", 3)
    assert daemon.metric("policyd_requests_total", service="postfix", traffic="script", action="delay") == 2


def test_one_connection_is_slowed_to_the_pace(postfix: Postfix, serve: Serve, domain: str) -> None:
    """A mailer that asks about 10 recipients is refused none of them."""
    daemon = serve([domain], {"pace": PACE})
    with Session(postfix.port("smtp")) as session:
        session.mail(f"shop@{domain}")
        assert session.rcpt("r0@remote.test").code == 250
        for number in range(1, 10):
            session.ask(f"RCPT TO:<r{number}@remote.test>")
            waiting(daemon, 1)
            daemon.advance(EVERY)
            assert session.answer().code == 250
        assert session.data().code == 250
    postfix.log.wait_queued(domain, 10)


def test_a_slot_that_is_too_far_away_is_450(postfix: Postfix, serve: Serve, domain: str) -> None:
    """The fifth of five that ask at once would wait for 24 s, and hears when to come again."""
    daemon = serve([domain], {"pace": PACE}, **PAGES)
    with ExitStack() as open_sessions:
        sessions = [open_sessions.enter_context(Session(postfix.port("smtp"))) for _ in range(5)]
        for session in sessions:
            session.mail(f"shop@{domain}")
        for number, session in enumerate(sessions[:4]):
            session.ask("RCPT TO:<x@remote.test>")
            waiting(daemon, number)
        refused = sessions[4].rcpt("x@remote.test")
        assert refused.code == 450
        assert "Limit pace: one recipient each 6s, and 4 wait already; mail flows again at " in refused.text
        daemon.advance(3 * EVERY)
        assert [session.answer().code for session in sessions[:4]] == [250] * 4


@pytest.fixture
def held(postfix: Postfix) -> Iterator[socket.socket]:
    """Listen where Postfix asks, as systemd does for the daemon."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(postfix.policy))
        postfix.policy.chmod(0o666)
        sock.listen(100)
        yield sock
    postfix.policy.unlink()


def test_a_restart_keeps_the_slot(
    postfix: Postfix, held: socket.socket, redis_server: RedisServer, domain: str
) -> None:
    """Postfix that waits for a slot when policyd is restarted asks the new one, and is answered when the slot comes."""
    limits = {"domain-hourly": rate(400), "pace": {**PACE, "every": "8s"}}
    daemon = Process(configuration(redis_server.url, [domain], limits, listen={"postfix": [f"unix:{postfix.policy}"]}))
    daemon.write()
    try:
        daemon.launch(held)
        daemon.wait_ready()
        with Session(postfix.port("smtp")) as session:
            session.mail(f"shop@{domain}")
            assert session.rcpt("a@remote.test").code == 250
            session.ask("RCPT TO:<b@remote.test>")
            (first,) = until(lambda: daemon.lines(action="delay"), "the second answer is delayed")
            daemon.stop()
            daemon.launch(held)
            daemon.wait_ready()
            assert session.answer().code == 250
            again = daemon.lines(action="delay")[-1]
            assert (again["resumes"], again["recipient"]) == (first["resumes"], "b@remote.test")
            assert session.data().code == 250
        daemon.wait_used(domain, "domain-hourly", 2)
    finally:
        daemon.remove()


# kept by a transport of Postfix


def test_a_slow_transport_keeps_each_lists_pace(sink: Sink, redis_server: RedisServer, domain: str) -> None:
    """Two lists send at once, no answer waits, and the small one is done while the large one is still paced."""
    lists, slow = free_port(), free_port()
    transport = Transport("slow", IPv4Network("127.0.2.0/24"), slow)
    large, small = apart(transport, domain)
    with ExitStack() as running:
        host = Postfix(next_hop=sink.port)
        running.callback(host.stop)
        recipe = blocks("main.cf pace")
        assert "= 6s" in recipe
        main = blocks("main.cf") + blocks("main.cf pickup") + blocks("main.cf lists") + recipe.replace("= 6s", "= 1s")
        host.append(main=main, master=master_recipe(free_port()) + list_recipe(lists) + pace_recipe(slow))
        host.add("smtp", {})
        host.start()
        pace = {"kind": "pace", "per": "list", "every": "1s", "by": "transport", "transport": str(transport)}
        made = settings(host.policy, redis_server.url, [domain], {"domain-hourly": rate(400), "list-pace": pace})
        made["lists"] = {"contexts": ["mailman"]}
        daemon = LocalDaemon(made)
        running.callback(daemon.remove)
        daemon.start()
        for address, members in ((large, 8), (small, 2)):
            bounces = address.replace("@", "-bounces@")
            for number in range(members):
                assert send(lists, bounces, [f"m{number}@{goal(address)}"]).queued == 1
        sink.wait(goal(small), 2)
        assert len(sink.to(goal(large))) < 8
        assert daemon.used(domain, "domain-hourly") == 10
        sink.wait(goal(large), 8)
        assert daemon.metric("policyd_delayed_answers") == 0
        checked = check(host, made)
        assert "error:" not in checked, checked


def check(host: Postfix, made: object) -> str:
    """Return what ``policyd config check --postfix`` says."""
    path = host.base / "checked.yaml"
    path.write_text(yaml.safe_dump(made, sort_keys=False))
    options = ["--config", str(path), "--postfix", "--postfix-config", str(host.config)]
    command = [str(Path(sys.executable).parent / "policyd"), "config", "check", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout + done.stderr


def test_two_mailman_lists_keep_their_paces_side_by_side(
    mailman: Mailman, postfix: Postfix, sink: Sink, serve: Serve, domain: str
) -> None:
    """The small list is done while the large one is still paced; all members get one copy, and no score moves."""
    transport = Transport("slow", IPv4Network("127.0.2.0/24"), free_port())
    postfix.append(main=blocks("main.cf pace").replace("= 6s", "= 1s"), master=pace_recipe(transport.port))
    mailman.deliver("lists", verp=True)
    large, small = apart(transport, domain)
    sizes = {large: 8, small: 2}
    for posting, size in sizes.items():
        mailman.add_list(posting, [f"m{number}@{goal(posting)}" for number in range(size)])
    pace = {"kind": "pace", "per": "list", "every": "1s", "by": "transport", "transport": str(transport)}
    daemon = serve([domain], {"domain-hourly": rate(400), "list-pace": pace}, lists={"contexts": ["mailman"]})
    for posting in sizes:
        assert send(postfix.port("smtp"), f"author@{domain}", [posting]).queued == 1
    sink.wait(goal(small), 2)
    assert len(sink.to(goal(large))) < sizes[large]
    for posting, size in sizes.items():
        arrived = sorted(name for one in sink.wait(goal(posting), size) for name in one.recipients)
        assert arrived == sorted(f"m{number}@{goal(posting)}" for number in range(size))
        assert set(mailman.scores(posting).values()) == {0}
    assert daemon.metric("policyd_delayed_answers") == 0
    mailman.wait_idle()


def goal(posting: str) -> str:
    """Return the domain of a list's members."""
    name, _, domain = posting.partition("@")
    return f"{name}.{domain}.sink.test"


def apart(transport: Transport, domain: str) -> tuple[str, str]:
    """Return two lists that have addresses of their own on the way."""
    large = f"large@{domain}"
    names = (f"{name}@{domain}" for name in ("small", "tiny", "little", "short"))
    return large, next(name for name in names if destination(transport, name) != destination(transport, large))
