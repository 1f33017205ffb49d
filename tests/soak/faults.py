"""Two daemons on one Redis, and what is done to them."""

import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from random import Random
from threading import Event
from time import monotonic

from policyd.cli.client import AdminClient
from tests.soak.books import Cut, Span
from tests.soak.load import (
    BOXES,
    CALM,
    FREE,
    KINDS,
    LISTS,
    LOGINS,
    POLICY_TIMEOUT,
    ROLLING,
    SUSPENDED,
    TIGHT,
    Daemon,
)
from tests.support.asker import Asker
from tests.support.daemon import rate
from tests.support.dovecot_client import KEY
from tests.support.ports import free_port
from tests.support.process import Process, configuration
from tests.support.redis import RedisServer, running
from tests.support.wait import until

TIGHT_MOST, LOGIN_MOST, BOX_MOST = 400, 150, 60
ROLLING_MOST, ROLLING_WINDOW = 60, 10  # in so many seconds
DAEMONS = 2
STORE_TIMEOUT = 1.0
EVERY = 0.02  # seconds of a slot of the list's pace


@dataclass
class World:
    """What runs, and what was done.

    ``cuts`` are the moments at which a call may have lost its answer, or a daemon what it knew; ``away`` is when
    one may have answered without the store.
    """

    redis: RedisServer
    daemons: list[Process]
    sockets: list[socket.socket]
    places: list[Daemon]
    dice: Random
    say: Callable[[str], None]
    cuts: list[Cut] = field(default_factory=list)
    away: list[Span] = field(default_factory=list)
    suspended: list[Span] = field(default_factory=list)
    _since: float = 0.0

    def used(self, subject: str, limit: str) -> int:
        """Return what Redis has."""
        return self.daemons[0].used(subject, limit)

    def fault(self) -> None:
        """Do one thing, and wait until all is well again."""
        start, before = monotonic(), len(self.cuts)
        self.dice.choice(
            [
                self.kill_daemon, self.kill_daemon, self.freeze_daemon, self.kill_redis, self.freeze_redis,
                self.reload_well, self.reload_badly, self.suspend_or_resume, self.suspend_or_resume,
            ]
        )()  # fmt: skip
        if len(self.cuts) > before:
            self.away.append(Span(start, monotonic()))

    def kill_daemon(self) -> None:
        """End a daemon without a word, and start it again on the socket that systemd would hold."""
        number, start = self.dice.randrange(DAEMONS), monotonic()
        self.say(f"kill daemon {number}")
        self.daemons[number].kill()
        self._launch(number)
        self.cuts.append(Cut(Span(start, monotonic()), number))

    def freeze_daemon(self) -> None:
        """Stop a daemon for a while."""
        number, seconds = self.dice.randrange(DAEMONS), self.dice.uniform(0.2, 2 * STORE_TIMEOUT)
        daemon, start = self.daemons[number], monotonic()
        self.say(f"freeze daemon {number} for {seconds:.1f} s")
        daemon.signal(signal.SIGSTOP)
        self._pause(seconds)
        daemon.signal(signal.SIGCONT)
        self._all_up()
        self.cuts.append(Cut(Span(start, monotonic()), number))

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
        with Asker(self.places[number].policy) as asker:
            for kind in KINDS:
                asker.ask(**kind, protocol_state="END-OF-MESSAGE", recipient="", recipient_count="0")

    def _cut(self, act: Callable[[], None]) -> None:
        start = monotonic()
        act()
        self.cuts.append(Cut(Span(start, monotonic())))

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
    "list-size": {"kind": "size", "max": 100_000},
    "list-pace": {
        "kind": "pace", "per": "list", "every": f"{EVERY * 1000:.0f}ms", "by": "answer", "delay_up_to": "500ms",
    },
    "checks": {"kind": "rate", "counts": "logins", "protocols": ["pop3"], "max": 10**9, "window": "24h"},
}  # fmt: skip
PLANS = {
    "shared": {"apply": ["domain-hourly", "user-hourly", "checks"]},
    "tight": {"extends": "shared", "apply": ["tight", "tight-user"]},
    "rolling": {"extends": "shared", "apply": ["rolling"]},
    "lists": {"extends": "shared", "apply": ["list-size", "list-pace"]},
    "boxes": {"extends": "shared", "change": {"checks": {"max": BOX_MOST}}},
}
DOMAINS = {
    FREE: "shared", CALM: "shared", SUSPENDED: "shared", TIGHT: "tight", ROLLING: "rolling", LISTS: "lists",
    "boxes.test": "boxes",
}  # fmt: skip
MAILERS = (FREE, CALM, TIGHT, ROLLING, SUSPENDED)
LIMIT_OF = {
    **dict.fromkeys((*MAILERS, LISTS), "domain-hourly"),
    **{f"{login}@{domain}": "user-hourly" for domain in MAILERS for login in LOGINS},
    **dict.fromkeys(BOXES, "checks"),
}
"""The limit whose counter has all of a name."""

MOST = {
    TIGHT: TIGHT_MOST,
    **{f"{login}@{TIGHT}": LOGIN_MOST for login in LOGINS},
    BOXES[0]: BOX_MOST,
}


def _daemon(url: str, place: Daemon) -> Process:
    made = configuration(
        url, [], dict(LIMITS), plans=PLANS,
        store={"timeout": f"{STORE_TIMEOUT:g}s", "when_down": "defer"},
        accounts={"domains": DOMAINS},
        lists={"contexts": ["mailman"], "mailing_over": 1},
        listen={
            "postfix": [f"unix:{place.policy}"], "dovecot": f"127.0.0.1:{place.port}",
            "dovecot_key_file": str(place.policy.parent / "key"), "policy_timeout": f"{POLICY_TIMEOUT:g}s",
        },
    )  # fmt: skip
    return Process(made)


@contextmanager
def world(dice: Random, say: Callable[[str], None]) -> Iterator[World]:
    """Run Redis with its file, which a kill loses nothing of, and the daemons."""
    with ExitStack() as ending:
        redis = ending.enter_context(running(append=True))
        key = redis.directory / "key"
        key.write_text(KEY)
        key.chmod(0o600)
        sockets, daemons, places = [], [], []
        for number in range(DAEMONS):
            place = Daemon(number, redis.directory / f"policy{number}", free_port())
            held = ending.enter_context(socket.socket(socket.AF_UNIX))
            held.bind(str(place.policy))
            held.listen(1000)
            daemons.append(_daemon(redis.url, place))
            ending.callback(daemons[-1].remove)
            sockets.append(held)
            places.append(place)
        made = World(redis, daemons, sockets, places, dice, say)
        made.start()
        yield made
