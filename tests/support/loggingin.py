"""A LoginService on a real Redis, asked as Dovecot would ask it, with a clock that the test moves."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeVar

from policyd.conf.schema import Config
from policyd.errors import StoreError, StoreUnavailable
from policyd.logins import LoginDecision, LoginService
from policyd.model import LoginAnswer, LoginCommand, LoginRequest, Outcome, Verdict
from policyd.store.base import Call, Op
from policyd.store.redis import RedisStore, Watch
from policyd.store.server import Server
from policyd.suspension import Suspensions
from tests.support.clock import ManualClock

T = TypeVar("T")
DEADLINE = 60.0

ACCEPTED, REFUSED = LoginAnswer(0), LoginAnswer(-1)
BOB = LoginRequest(LoginCommand.ALLOW, "bob@example.org", "pop3", "192.0.2.7", "")
"""A login with the right password, in a session without a name."""


@dataclass
class Heard:
    """Implements logins.Recorder and logins.LastLogins: what was told, in order."""

    verdicts: list[Verdict] = field(default_factory=list)
    failures: list[Outcome] = field(default_factory=list)
    errors: list[StoreError] = field(default_factory=list)
    twice: int = 0
    last: list[tuple[str, str, int]] = field(default_factory=list)

    def decided(self, decision: LoginDecision, verdict: Verdict, outcome: Outcome | None) -> None:  # noqa: ARG002
        """Note a verdict."""
        self.verdicts.append(verdict)

    def failed(self, decision: LoginDecision, outcome: Outcome) -> None:  # noqa: ARG002
        """Note a failed login."""
        self.failures.append(outcome)

    def without_store(self, decision: LoginDecision, verdict: Verdict, error: StoreError) -> None:  # noqa: ARG002
        """Note a login that nobody counted."""
        self.errors.append(error)

    def asked_twice(self) -> None:
        """Note that Dovecot asks twice."""
        self.twice += 1

    def logged_in(self, mailbox: str, protocol: str, at: int) -> None:
        """Note a login that was done."""
        self.last.append((mailbox, protocol, at))


class CountingStore:
    """A RedisStore that counts its calls, and is away while ``down``."""

    def __init__(self, redis: RedisStore) -> None:
        self.redis = redis
        self.ops: list[Op] = []
        self.down = False

    async def ask(self, call: Call) -> Outcome:
        """Hand a call on."""
        self.ops.append(call.op)
        if self.down:
            raise StoreUnavailable(call.op.value, "the link to Redis is down")
        return await self.redis.ask(call)


class Dovecot:
    """Asks one LoginService; ``configure`` begins with another Config."""

    def __init__(self, loop: asyncio.AbstractEventLoop, url: str, config: Config) -> None:
        self.loop, self.clock, self.heard = loop, ManualClock(), Heard()
        self._sessions = count()

        async def made() -> CountingStore:
            return CountingStore(RedisStore(Server(url), 10_000, self.clock, Watch(lambda _: None, lambda _: None)))

        self.store = self.run(made())
        self.suspensions = Suspensions(self.store.redis)
        self.service = LoginService(
            config, self.store, self.heard, self.clock, mirror=self.suspensions, last_logins=self.heard
        )

    @property
    def ops(self) -> list[Op]:
        """The calls of the store since the last look."""
        seen, self.store.ops = self.store.ops, []
        return seen

    def allow(self, **changed: Any) -> LoginAnswer:
        """Return the answer to a login with the right password."""
        return self.run(self.service.allow(BOB._replace(**changed)))

    def login(self, **changed: Any) -> LoginAnswer:
        """Log in with the right password, as a whole: allow, then report."""
        session = {"session_id": f"session {next(self._sessions)}", **changed}
        answer = self.allow(**session)
        accepted = answer.status == 0
        self._report(session, success=accepted, policy_reject=not accepted)
        return answer

    def fail(self, times: int = 1, **changed: Any) -> None:
        """Fail with a wrong password, which Dovecot only reports."""
        for _ in range(times):
            self._report(changed, success=False, policy_reject=False)

    def _report(self, changed: dict[str, Any], *, success: bool, policy_reject: bool) -> None:
        request = BOB._replace(**changed)
        request = request._replace(command=LoginCommand.REPORT, success=success, policy_reject=policy_reject)
        self.run(self.service.report(request))

    def run(self, work: Awaitable[T]) -> T:
        """Wait for something on the loop."""
        return self.loop.run_until_complete(asyncio.wait_for(work, DEADLINE))

    def close(self) -> None:
        """Close the store."""
        self.run(self.store.redis.close())
