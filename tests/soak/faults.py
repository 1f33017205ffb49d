"""Two daemons on one Redis, and what is done to them."""

import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from threading import Event
from time import monotonic

from policyd.cli.client import AdminClient
from tests.soak.load import FREE, ROLLING, SUSPENDED, TIGHT, Span
from tests.support.daemon import rate
from tests.support.process import Process, configuration
from tests.support.redis import RedisServer, running
from tests.support.wait import until

TIGHT_MOST, LOGIN_MOST = 400, 150
ROLLING_MOST, ROLLING_WINDOW = 60, 10  # in so many seconds
DAEMONS = 2
STORE_TIMEOUT = 1.0


@dataclass
class World:
    """What runs, and what was done: ``cuts`` are the moments at which a call may have lost its answer."""

    redis: RedisServer
    daemons: list[Process]
    sockets: list[socket.socket]
    dice: Random
    say: Callable[[str], None]
    cuts: list[Span] = field(default_factory=list)
    suspended: list[Span] = field(default_factory=list)
    _since: float = 0.0

    def fault(self) -> None:
        """Do one thing, and wait until all is well again."""
        self.dice.choice(
            [
                self.kill_daemon, self.kill_daemon, self.freeze_daemon, self.kill_redis, self.freeze_redis,
                self.reload_well, self.reload_badly, self.suspend_or_resume, self.suspend_or_resume,
            ]
        )()  # fmt: skip

    def kill_daemon(self) -> None:
        """End a daemon without a word, and start it again on the socket that systemd would hold."""
        number = self.dice.randrange(DAEMONS)
        self.say(f"kill daemon {number}")
        self._cut(self.daemons[number].kill)
        self._launch(number)

    def freeze_daemon(self) -> None:
        """Stop a daemon for a while."""
        daemon, seconds = self.dice.choice(self.daemons), self.dice.uniform(0.2, 2 * STORE_TIMEOUT)
        self.say(f"freeze daemon {self.daemons.index(daemon)} for {seconds:.1f} s")
        start = monotonic()
        daemon.signal(signal.SIGSTOP)
        self._pause(seconds)
        daemon.signal(signal.SIGCONT)
        self._all_up()
        self.cuts.append(Span(start, monotonic()))

    def kill_redis(self) -> None:
        """End Redis without a word, and start it again after a while."""
        seconds = self.dice.uniform(0, 1)
        self.say(f"kill Redis for {seconds:.1f} s")
        self._cut(self.redis.kill)
        self._pause(seconds)
        self.redis.start()
        self._all_up()

    def freeze_redis(self) -> None:
        """Stop Redis for a while: what was asked meanwhile is too late when it goes on."""
        seconds = self.dice.uniform(0.2, 3 * STORE_TIMEOUT)
        self.say(f"freeze Redis for {seconds:.1f} s")
        self._cut(self.redis.pause)
        self._pause(seconds)
        self._cut(self.redis.resume)
        self._all_up()

    def reload_well(self) -> None:
        """Reload a configuration with one domain more or less."""
        daemon = self.dice.choice(self.daemons)
        self.say(f"reload daemon {self.daemons.index(daemon)}")
        domains = daemon.configuration["accounts"]["domains"]
        if domains.pop("spare.test", None) is None:
            domains["spare.test"] = "shared"
        daemon.hang_up("ok")

    def reload_badly(self) -> None:
        """Reload a configuration that cannot be used."""
        daemon = self.dice.choice(self.daemons)
        self.say(f"reload daemon {self.daemons.index(daemon)} with a bad configuration")
        daemon.configuration["limits"]["domain-hourly"]["max"] = "many"
        daemon.hang_up("failed")
        daemon.configuration["limits"]["domain-hourly"]["max"] = 10**9
        daemon.write()

    def suspend_or_resume(self) -> None:
        """Suspend the account that is there for it, or resume it."""
        daemon = self.dice.choice(self.daemons)
        client = AdminClient(str(daemon.admin))
        self.say(f"{'resume' if self._since else 'suspend'} at daemon {self.daemons.index(daemon)}")
        if self._since:
            self.suspended.append(Span(self._since, monotonic()))
            self._since = 0.0
            client.post("/v1/resume", subject=SUSPENDED, reason="soak")
        else:
            client.post("/v1/suspend", subject=SUSPENDED, reason="soak", until=0)
            self._since = monotonic()

    def start(self) -> None:
        """Start the daemons."""
        for number in range(DAEMONS):
            self.daemons[number].write()
            self._launch(number)

    def _launch(self, number: int) -> None:
        self.daemons[number].launch(self.sockets[number])
        self.daemons[number].wait_ready()
        self._all_up()

    def _cut(self, act: Callable[[], None]) -> None:
        start = monotonic()
        act()
        self.cuts.append(Span(start, monotonic()))

    def _pause(self, seconds: float) -> None:
        Event().wait(seconds)

    def _all_up(self) -> None:
        for daemon in self.daemons:
            if daemon.is_running:
                until(lambda one=daemon: one.metric("policyd_store_up") == 1, "the store answers")  # type: ignore[misc]


LIMITS = {
    "domain-hourly": rate(10**9, window="24h"),
    "tight": rate(TIGHT_MOST, window="24h"),
    "user-hourly": rate(10**9, window="24h", per="user", traffic=["user"]),
    "tight-user": rate(LOGIN_MOST, window="24h", per="user", traffic=["user"]),
    "rolling": rate(ROLLING_MOST, window=f"{ROLLING_WINDOW}s"),
}
PLANS = {
    "shared": {"apply": ["domain-hourly", "user-hourly"]},
    "tight": {"apply": ["domain-hourly", "user-hourly", "tight", "tight-user"]},
    "rolling": {"apply": ["domain-hourly", "user-hourly", "rolling"]},
}


def _daemon(url: str, held: Path) -> Process:
    store = {"timeout": f"{STORE_TIMEOUT:g}s", "when_down": "defer"}
    accounts = {
        "settle": "recipient",
        "domains": {FREE: "shared", SUSPENDED: "shared", TIGHT: "tight", ROLLING: "rolling"},
    }
    listen = {"postfix": [f"unix:{held}"]}
    return Process(configuration(url, [], dict(LIMITS), plans=PLANS, store=store, accounts=accounts, listen=listen))


@contextmanager
def world(dice: Random, say: Callable[[str], None]) -> Iterator[World]:
    """Run Redis with its file, which a kill loses nothing of, and the daemons."""
    with ExitStack() as ending:
        redis = ending.enter_context(running(append=True))
        sockets, daemons = [], []
        for number in range(DAEMONS):
            path = redis.directory / f"policy{number}"
            held = ending.enter_context(socket.socket(socket.AF_UNIX))
            held.bind(str(path))
            held.listen(1000)
            daemons.append(_daemon(redis.url, path))
            ending.callback(daemons[-1].remove)
            sockets.append(held)
        made = World(redis, daemons, sockets, dice, say)
        made.start()
        yield made
