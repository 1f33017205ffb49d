"""A Service on a real Redis, asked as Postfix would ask it, with a clock that the test moves."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeVar

from policyd.conf.schema import Config
from policyd.errors import StoreError, StoreTimeout, StoreUnavailable
from policyd.model import Action, Charge, Outcome, PolicyRequest, Usage, Verdict
from policyd.policy.limits import counter_type
from policyd.service import Decision, Service
from policyd.settlement import Conversation, Kind, OpenMessage
from policyd.store.base import Call, Done, Op
from policyd.store.redis import RedisStore, Watch
from policyd.store.seen import SeenLists
from policyd.store.server import Server
from policyd.suspension import Suspensions
from tests.support.clock import ManualClock
from tests.support.config import asked, config
from tests.support.configs import rate_limit

T = TypeVar("T")

DEADLINE = 20.0
HOST = "mx.host.test"
PATIENCE = 202_000
"""How long a message is waited for after a close, with the default policy_timeout, in ms."""


@dataclass
class Heard:
    """Implements service.Recorder: what was told, in order."""

    verdicts: list[Verdict] = field(default_factory=list)
    outcomes: list[Outcome | None] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    settlements: list[Outcome] = field(default_factory=list)
    failures: list[tuple[Verdict, StoreError]] = field(default_factory=list)
    returned: list[str] = field(default_factory=list)
    lost: list[Kind] = field(default_factory=list)

    def decided(self, decision: Decision, verdict: Verdict, outcome: Outcome | None) -> None:
        """Note a verdict."""
        self.decisions.append(decision)
        self.verdicts.append(verdict)
        self.outcomes.append(outcome)

    def settled(self, decision: Decision, outcome: Outcome) -> None:
        """Note a completed message."""
        self.decisions.append(decision)
        self.settlements.append(outcome)

    def without_store(self, decision: Decision, verdict: Verdict, error: StoreError) -> None:
        """Note an answer that was given without the store."""
        self.decisions.append(decision)
        self.failures.append((verdict, error))

    def given_back(self, message: OpenMessage) -> None:
        """Note a give-back."""
        self.returned.append(message.instance)

    def settle_lost(self, kind: Kind) -> None:
        """Note a kind that stopped showing its END-OF-MESSAGE."""
        self.lost.append(kind)


class CountingStore:
    """A RedisStore that counts its calls.

    ``lose_next``: the next call is run, and its answer lost. ``fail_next``: it is not run at all.
    """

    def __init__(self, store: RedisStore) -> None:
        self.redis = store
        self.ops: list[Op] = []
        self.lose_next, self.fail_next = False, False

    @property
    def up(self) -> bool:
        """Whether the store answered last time."""
        return self.redis.up

    @property
    def trouble(self) -> str:
        """Why it does not count."""
        return self.redis.trouble

    def submit(self, call: Call, done: Done) -> None:
        """Hand a call on."""
        self.ops.append(call.op)
        lose, fail, self.lose_next, self.fail_next = self.lose_next, self.fail_next, False, False
        if fail:
            done(StoreUnavailable(call.op.value, "the link to Redis is down"))
        elif lose:
            self.redis.submit(call, lambda _: done(StoreTimeout(call.op.value, 0.25)))
        else:
            self.redis.submit(call, done)


class Users:
    """Implements service.Owners: the Unix user by the port of the client; what was asked, in order."""

    def __init__(self) -> None:
        self.names: dict[int, str] = {}
        self.asked: list[tuple[str, int]] = []

    def user(self, host: str, request: PolicyRequest) -> str:
        """Return the user who was said to hold the port."""
        self.asked.append((host, request.client_port))
        return self.names.get(request.client_port, "")


class Daemon:
    """A Service and what belongs to it."""

    def __init__(self, site: Config, url: str, clock: ManualClock) -> None:
        self.users = Users()
        self.heard = Heard()
        self.store = CountingStore(RedisStore(Server(url), 10_000, clock, Watch(lambda _: None, lambda _: None)))
        self.suspensions = Suspensions(self.store.redis)
        self.seen = SeenLists(self.store.redis)
        self.service = Service(
            site, self.store, self.heard, clock, owners=self.users, mirror=self.suspensions, seen=self.seen
        )


class World:
    """One daemon or more on one Redis. ``config`` is that of ``daemon``, the first."""

    def __init__(self, loop: asyncio.AbstractEventLoop, url: str) -> None:
        self.loop, self.url = loop, url
        self.clock = ManualClock()
        self.config = config()
        self.daemons: list[Daemon] = []
        self._numbers = count()

    @property
    def daemon(self) -> Daemon:
        """The first daemon, started with the config when it is needed."""
        if not self.daemons:
            self.start()
        return self.daemons[0]

    @property
    def heard(self) -> Heard:
        """What the first daemon's recorder was told."""
        return self.daemon.heard

    @property
    def ops(self) -> list[Op]:
        """The store calls of the first daemon."""
        return self.daemon.store.ops

    def start(self, site: Config | None = None) -> Daemon:
        """Start a daemon with the config, or one of its own."""

        async def made() -> Daemon:
            return Daemon(site or self.config, self.url, self.clock)

        self.daemons.append(self.loop.run_until_complete(made()))
        return self.daemons[-1]

    def restart(self) -> None:
        """End the first daemon, with all that it remembers, and start another in its place."""
        self.loop.run_until_complete(self.daemons.pop(0).store.redis.close())
        self.start()
        self.daemons.insert(0, self.daemons.pop())

    def close(self) -> None:
        """End all daemons."""
        for daemon in self.daemons:
            self.loop.run_until_complete(daemon.store.redis.close())

    def connection(self, daemon: Daemon | None = None, host: str = HOST) -> "Connection":
        """Return a new connection of an smtpd to a daemon."""
        return Connection(self, daemon or self.daemon, host)

    def instance(self) -> str:
        """Return the instance of a new message."""
        return f"43ac.6b025c8e.6a03a.{next(self._numbers):x}"

    def shown(self, **changed: Any) -> None:
        """Have this kind of traffic show an END-OF-MESSAGE, which charges nothing."""
        self.connection().message(**changed).end(0)
        self.ops.clear()

    def used(self, limit: str = "domain-hourly", account: str = "example.org", subject: str = "") -> int:
        """Return what a limit has counted, when all that was begun is done."""
        rule = rate_limit(self.config, limit)
        charge = Charge(counter_type(rule), limit, subject or account, 1, rule.max or 0, rule.window)
        usages: tuple[Usage, ...] = ()
        for daemon in self.daemons:
            usages = self.run(daemon.store.redis.ask(Call(Op.PEEK, account, None, (charge,)))).usages
        return usages[0].used

    def advance(self, by: int) -> None:
        """Move the clock by ``by`` ms."""

        async def moved() -> None:
            self.clock.advance(by)

        self.run(moved())

    def run(self, work: Awaitable[T]) -> T:
        """Wait for something on the loop."""
        return self.loop.run_until_complete(asyncio.wait_for(work, DEADLINE))


class Connection:
    """One connection of an smtpd."""

    def __init__(self, world: World, daemon: Daemon, host: str) -> None:
        self.world, self.daemon = world, daemon
        self.conversation: Conversation = daemon.service.opened(host)

    def ask(self, request: PolicyRequest, meanwhile: Callable[[], None] = lambda: None) -> Verdict:
        """Return the answer to a request; ``meanwhile`` runs while it is under way."""

        async def answered() -> Verdict | None:
            future: asyncio.Future[Verdict | None] = self.world.loop.create_future()
            self.daemon.service.decide(self.conversation, request, future.set_result)
            meanwhile()
            return await future

        verdict = self.world.run(answered())
        assert verdict is not None
        assert verdict.text.isascii()
        assert "\n" not in verdict.text
        return verdict

    def close(self, *, by_us: bool = False) -> None:
        """Close the connection."""

        async def closed() -> None:
            self.daemon.service.closed(self.conversation, by_us=by_us)

        self.world.run(closed())

    def message(self, **changed: Any) -> "Message":
        """Begin a message with these attributes, sent with a login unless they say otherwise."""
        return Message(self, changed)


class Message:
    """One message of an SMTP client, as Postfix asks about it."""

    def __init__(self, connection: Connection, changed: dict[str, Any]) -> None:
        self.connection = connection
        self.changed = {"sasl_username": "alice@example.org", "instance": connection.world.instance(), **changed}
        self._recipients = count()

    def on(self, connection: Connection, **changed: Any) -> "Message":
        """Return the same message on another connection."""
        return Message(connection, self.changed | changed)

    def to(self, *recipients: str, meanwhile: Callable[[], None] = lambda: None) -> list[Action]:
        """Return the answers to recipients, one after the other."""
        return [self.rcpt(recipient, meanwhile).action for recipient in recipients]

    def rcpt(self, recipient: str = "", meanwhile: Callable[[], None] = lambda: None) -> Verdict:
        """Return the answer to a recipient, a new one when none is named."""
        name = recipient or f"r{next(self._recipients)}@remote.test"
        return self.connection.ask(asked(**{"recipient": name, **self.changed}), meanwhile)

    def many(self, number: int) -> list[Action]:
        """Return the answers to a number of new recipients."""
        return [self.rcpt().action for _ in range(number)]

    def data(self) -> Verdict:
        """Return the answer to DATA."""
        return self.connection.ask(asked(**self.changed, protocol_state="DATA", recipient=""))

    def end(self, recipients: int, recipient: str = "", **changed: Any) -> Verdict:
        """Return the answer to END-OF-MESSAGE; Postfix names a recipient when he is the only one."""
        at_end = {"protocol_state": "END-OF-MESSAGE", "recipient_count": recipients, "recipient": recipient}
        return self.connection.ask(asked(**{**self.changed, **at_end, **changed}))
