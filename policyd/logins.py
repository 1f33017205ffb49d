"""The way of a login, whole: plan -> charge -> decide -> record.

    Dovecot asks -> LoginPlanner.plan -> store.ask -> decide -> Recorder -> Dovecot hears

One call of the store for a decision, none where no limit looks at the protocol. Limits of failed
logins, where there are any, cost one look at the client before. Without the store, logins go on.
"""

from time import perf_counter
from typing import NamedTuple, Protocol

from policyd.clock import Clock
from policyd.conf.schema import Config
from policyd.errors import StoreError
from policyd.model import Action, LoginAnswer, LoginRequest, Outcome, Verdict
from policyd.policy.decide import ACCEPT, decide, refuse_suspended
from policyd.policy.logins import LoginPlanner, answer, client_of, is_known, known_charge
from policyd.policy.plan import ChargePlan
from policyd.store.base import Call, Op
from policyd.suspension import Mirror

_MOST_SESSIONS = 1000


class LoginDecision(NamedTuple):
    """One login on its way, with everything that is known of it."""

    config: Config
    request: LoginRequest
    plan: ChargePlan
    started: float


class Counters(Protocol):
    """As much of a store as a login needs."""

    async def ask(self, call: Call) -> Outcome:
        """Return the outcome of a call. Raises StoreError."""


class Recorder(Protocol):
    """Who hears what was decided: metrics, the decision log, the index."""

    def decided(self, decision: LoginDecision, verdict: Verdict, outcome: Outcome | None) -> None:
        """Note a verdict; ``outcome`` is None when the store was not asked."""

    def failed(self, decision: LoginDecision, outcome: Outcome) -> None:
        """Note what a failed login was charged to its client."""

    def without_store(self, decision: LoginDecision, verdict: Verdict, error: StoreError) -> None:
        """Note a login that nobody counted."""

    def asked_twice(self) -> None:
        """Note that Dovecot asks twice about one login."""


class LastLogins(Protocol):
    """Who remembers when a mailbox was last logged in to."""

    def logged_in(self, mailbox: str, protocol: str, at: int) -> None:
        """Note a login that Dovecot reports as done, at ``at`` in ms since the epoch."""


class LoginService:
    """Decides logins under the Config in force. ``configure`` swaps it whole."""

    def __init__(
        self, config: Config, store: Counters, recorder: Recorder, clock: Clock, *, mirror: Mirror,
        last_logins: LastLogins | None = None,
    ) -> None:  # fmt: skip
        self._planner, self._mirror = LoginPlanner(config), mirror
        self._store, self._recorder, self._clock, self._last_logins = store, recorder, clock, last_logins
        self._sessions = _Sessions()

    def configure(self, config: Config) -> None:
        """Decide all logins from now on under ``config``."""
        self._planner = LoginPlanner(config)

    async def allow(self, request: LoginRequest) -> LoginAnswer:
        """Return whether a login may go on whose password was right."""
        started, planner, now = perf_counter(), self._planner, self._clock.now()
        self._sessions.allowed(request.session_id)
        decision = LoginDecision(planner.config, request, planner.plan(request, now), started)
        try:
            refusal = await self._refusal_of_client(decision, planner.plan_failed(request, now))
            if refusal is not None:
                return refusal
            outcome = await self._charged(decision.plan) if decision.plan.charges else None
        except StoreError as error:
            verdict = self._mirrored(decision.plan, now)
            self._recorder.without_store(decision, verdict, error)
            return answer(decision.plan, verdict)
        verdict = decide(decision.plan, outcome) if outcome is not None else self._mirrored(decision.plan, now)
        self._recorder.decided(decision, verdict, outcome)
        return answer(decision.plan, verdict)

    async def report(self, request: LoginRequest) -> None:
        """Note how a login ended. What policyd refused itself is no wrong password."""
        started, planner, now = perf_counter(), self._planner, self._clock.now()
        if self._sessions.reported(request.session_id):
            self._recorder.asked_twice()
        if request.success:
            if self._last_logins is not None and request.login:
                self._last_logins.logged_in(planner.traffic(request.login).user, request.protocol, now)
            return
        decision = LoginDecision(planner.config, request, planner.plan_failed(request, now), started)
        if request.policy_reject or not decision.plan.charges:
            return
        try:
            self._recorder.failed(decision, await self._charged(decision.plan))
        except StoreError as error:
            self._recorder.without_store(decision, ACCEPT, error)

    async def _refusal_of_client(self, decision: LoginDecision, plan: ChargePlan) -> LoginAnswer | None:
        """Return the answer to a client that failed too often, None to one that may go on. Raises StoreError.

        A client that is known is spared; one that is let in becomes known.
        """
        if not plan.charges:
            return None
        mark = known_charge(client_of(decision.request.remote))
        account = plan.traffic.account
        held = await self._store.ask(Call(Op.PEEK, account, None, (*plan.charges, mark)))
        if is_known(held):
            return None
        outcome = held._replace(usages=held.usages[:-1])
        verdict = decide(plan, outcome)
        if verdict.action is not Action.ACCEPT:
            self._recorder.decided(decision._replace(plan=plan), verdict, outcome)
            return answer(plan, verdict)
        await self._store.ask(Call(Op.CHARGE, account, None, (mark,)))
        return None

    def _mirrored(self, plan: ChargePlan, now: int) -> Verdict:
        """Return what is known here of the mailbox: the store is not asked, or not there."""
        found = self._mirror.find(plan.traffic.account, plan.suspendable, now)
        return refuse_suspended(plan.traffic.kind, found) if found else ACCEPT

    async def _charged(self, plan: ChargePlan) -> Outcome:
        return await self._store.ask(Call(Op.CHARGE, plan.traffic.account, None, plan.charges, plan.suspendable))


class _Sessions:
    """Tells whether Dovecot asks about a login before and after the password: allow, allow, report."""

    def __init__(self) -> None:
        self._asked: dict[str, int] = {}

    def allowed(self, session: str) -> None:
        if not session:  # as of SMTP AUTH, where many logins go on at a time
            return
        self._asked[session] = self._asked.get(session, 0) + 1
        if len(self._asked) > _MOST_SESSIONS:
            self._asked.pop(next(iter(self._asked)))

    def reported(self, session: str) -> bool:
        """Return whether the login that ends was asked about twice."""
        return self._asked.pop(session, 0) > 1
