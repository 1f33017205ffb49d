"""Several daemons of one host: one configuration, one socket of Postfix, one Redis."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.asker import Asker
from tests.support.daemon import rate
from tests.support.held import holding
from tests.support.process import Process, configuration
from tests.support.redis import RedisServer
from tests.support.wait import until

ALICE = {"sasl_username": "alice@a.test", "sender": "alice@a.test"}
MOST = 40


@pytest.fixture
def pair(redis_server: RedisServer, ending: ExitStack) -> Iterator[list[Process]]:
    """Run a daemon, and one more with its configuration, as policyd@.service does."""
    made = configuration(redis_server.url, ["a.test"], {"domain-hourly": rate(MOST)})
    first, second = Process(made), Process(made)
    second.path = first.path
    first.write()
    with holding(first.policy) as held:
        for daemon, options in (
            (first, []),
            (second, ["--metrics", f"unix:{second.pages}", "--admin", f"unix:{second.admin}"]),
        ):
            ending.callback(daemon.remove)
            daemon.launch(held, options=options)
            daemon.wait_ready()
        yield [first, second]


def asked(daemon: Process) -> float:
    """Return how many requests a daemon has had."""
    return sum(
        daemon.metric("policyd_requests_total", service="postfix", traffic="user", action=action)
        for action in ("accept", "reject")
    )


def test_one_limit_for_all(pair: list[Process]) -> None:
    """Both answer at one socket, each has metrics of its own, and together they let through what one would."""
    answers = list[str]()

    def ask_until_both() -> bool:
        with Asker(pair[0].policy) as asker:
            answers.append(asker.ask(**ALICE, instance=f"several.{len(answers)}"))
        return len(answers) > MOST and all(map(asked, pair))

    until(ask_until_both, "both are asked")

    assert (answers.count("DUNNO"), answers[-1][:3]) == (MOST, "550")
    assert sum(map(asked, pair)) == len(answers)


def test_a_reload_does_not_miss_what_was_replaced(pair: list[Process]) -> None:
    """The addresses that stand in the command are no change of ``listen``."""
    second = pair[1]
    second.signal(signal.SIGHUP)
    until(lambda: second.reloads("ok"), "it has reloaded")

    assert not second.said("changes at a restart only")


def test_no_address(pair: list[Process]) -> None:
    """What is no address is a wrong use of the command, and the message says what to write."""
    third = Process(pair[0].configuration)
    third.launch(options=["--metrics", "9933"])

    assert third.ended() == 2
    assert "no address to listen on (write 127.0.0.1:9933)" in " ".join(third.log.replace("│", " ").split())
    third.remove()
