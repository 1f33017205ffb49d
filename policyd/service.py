"""The way of a request, whole: plan -> charge -> decide -> record.

    Postfix asks -> Planner.plan -> store.submit -> decide -> Recorder -> Postfix hears

The store is the only thing waited for, and the slot of a pace. What happens when the store gives no
answer is decided here, in ``_without_store``, and nowhere else.
"""

from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import NamedTuple, Protocol

from policyd.clock import Clock
from policyd.conf.away import WhenDown
from policyd.conf.schema import Accounts, Config
from policyd.delay import Delays
from policyd.errors import StoreError
from policyd.model import Action, Outcome, PolicyRequest, Verdict
from policyd.policy.decide import ACCEPT, accepted, decide, refuse_suspended
from policyd.policy.pace import longest_wait, without_wait
from policyd.policy.plan import MOST_RECIPIENTS, ChargePlan, Planner
from policyd.policy.roster import Roster
from policyd.policy.sizes import Seen
from policyd.posts import Posts, Refused
from policyd.settlement import Conversation, Kind, OpenMessage, OpenMessages
from policyd.store.base import Call, Op, Record, Store
from policyd.suspension import Mirror

MARGIN = 10_000
"""How much longer a message record lives than Postfix may need to ask again, in ms."""

OPEN = 7_200_000
"""How long a message record waits for its END-OF-MESSAGE, in ms."""

RCPT, END = "RCPT", "END-OF-MESSAGE"

STORE_DOWN = Verdict(Action.DEFER, "The mail policy service cannot count just now; please try again later")

Respond = Callable[[Verdict | None], None]
"""Called once with the answer. None: there is none, and Postfix asks again on another connection."""


class Decision(NamedTuple):
    """One request on its way, with everything that is known of it."""

    config: Config
    conversation: Conversation
    request: PolicyRequest
    plan: ChargePlan
    started: float
    respond: Respond


class Recorder(Protocol):
    """Who hears what was decided: metrics, the decision log, the index."""

    def decided(self, decision: Decision, verdict: Verdict, outcome: Outcome | None) -> None:
        """Note a verdict; ``outcome`` is None when the store was not asked."""

    def settled(self, decision: Decision, outcome: Outcome) -> None:
        """Note that a message was completed and what it was charged in the end."""

    def without_store(self, decision: Decision, verdict: Verdict, error: StoreError) -> None:
        """Note an answer that was given without the store."""

    def given_back(self, message: OpenMessage) -> None:
        """Note that the charges of a message that was given up were undone."""

    def settle_lost(self, kind: Kind) -> None:
        """Note that a kind of traffic stopped showing its END-OF-MESSAGE."""


class Owners(Protocol):
    """Who knows the Unix user behind a request."""

    def user(self, host: str, request: PolicyRequest) -> str:
        """Return the user who sends, "" when that cannot be known. ``host`` is where the Postfix that asks runs."""


class Service:
    """Decides requests under the Config in force. ``configure`` swaps it whole."""

    def __init__(
        self, config: Config, store: Store, recorder: Recorder, clock: Clock,
        *, owners: Owners, mirror: Mirror, seen: Seen,
    ) -> None:  # fmt: skip
        self._planner, self._owners, self._mirror = Planner(config), owners, mirror
        self._posts = Posts(store, mirror, seen)
        self._store, self._recorder, self._clock = store, recorder, clock
        self._messages = OpenMessages(clock, self._give_back, recorder.settle_lost)
        self.delays = Delays(clock, config.delay)

    def configure(self, config: Config) -> None:
        """Decide all requests from now on under ``config``; those under way keep theirs."""
        self._planner, self.delays.bounds = Planner(config, self._planner.lists.roster), config.delay
        if not config.accounts.settle_at_end:
            self._messages.forget()

    def enrolled(self, roster: Roster) -> None:
        """Decide all requests from now on with what the list software says of its lists."""
        self._planner.enrolled(roster)

    def opened(self, host: str) -> Conversation:
        """Return the state of a new connection from ``host``."""
        return Conversation(host)

    def closed(self, conversation: Conversation, *, by_us: bool) -> None:
        """Note that a connection is gone; a close of our own says nothing about its message."""
        conversation.gone = True
        if by_us:
            self._messages.closed_by_us(conversation, OPEN)
        else:
            self._messages.closed(conversation, 2 * self._planner.config.listen.policy_timeout + 2000)

    def decide(self, conversation: Conversation, request: PolicyRequest, respond: Respond) -> None:
        """Answer one request: ``respond`` is called once, now or when the store has answered."""
        started, planner, state = perf_counter(), self._planner, request.protocol_state
        accounts = planner.config.accounts
        if accounts.settle_at_end:
            self._messages.seen(conversation, request)
        now = self._clock.now()
        post = self._posts.find(planner, request, now) if state == RCPT else None
        if post is None and not _costs(accounts, state):
            respond(ACCEPT)
            return
        message = conversation.message if accounts.settle_at_end else None
        owner = partial(self._owners.user, conversation.host)
        if state == RCPT:
            plan = planner.plan(request, now, owner)
        else:
            plan = planner.plan_message(request, now, owner, message.traffic if message else None)
        decision = Decision(planner.config, conversation, request, plan, started, respond)
        if post is not None:
            self._posts.ask(planner, post, plan, partial(self._knocked, decision))
        elif state == RCPT:
            self._recipient(decision)
        elif accounts.charge_at_end and message is None:
            self._whole_message(decision)
        else:
            self._end(decision, message)

    # RCPT

    def _knocked(self, decision: Decision, refused: Refused | None) -> None:
        """Answer a post that a list does not take, or go on with it."""
        if decision.conversation.gone:
            decision.respond(None)
        elif refused is not None:
            self._answer(decision._replace(plan=refused.plan), refused.verdict, refused.outcome)
        elif _costs(decision.config.accounts, RCPT):
            self._recipient(decision)
        else:
            decision.respond(ACCEPT)

    def _recipient(self, decision: Decision) -> None:
        conversation, request, plan = decision.conversation, decision.request, decision.plan
        self._posts.mailed(plan.traffic, self._clock.now())
        message = None
        if decision.config.accounts.settle_at_end and plan.traffic.account and request.instance:
            message = self._messages.opened(conversation, request, plan.traffic)
        if plan.charges:
            self._charge(decision, message)
            return
        verdict = self._mirrored(plan) or accepted(plan)
        if message is not None and message.asked != _fingerprint(request):
            message.asked = _fingerprint(request)
            message.uncharged += verdict.suspended is None
        self._answer(decision, verdict, None)

    def _whole_message(self, decision: Decision) -> None:
        if decision.plan.charges:
            self._charge(decision, None)
        else:
            self._answer(decision, self._mirrored(decision.plan) or accepted(decision.plan), None)

    def _mirrored(self, plan: ChargePlan) -> Verdict | None:
        """Return the refusal of who is suspended as far as is known here: the store is not asked, or not there."""
        found = self._mirror.find(plan.traffic.account, plan.suspendable, self._clock.now())
        return refuse_suspended(plan.traffic.kind, found) if found else None

    def _charge(self, decision: Decision, message: OpenMessage | None) -> None:
        plan, charges, place = decision.plan, decision.plan.charges, False
        keep = _again(decision.config) if message is None else OPEN
        if message is not None:
            message.asked = _fingerprint(decision.request)
        if plan.paced:
            keep += longest_wait(charges)
            place = self.delays.take(plan.traffic.account)
            charges = charges if place else without_wait(charges)
        record = self._record(decision, keep, message)
        call = Call(Op.CHARGE, plan.traffic.account, record, charges, plan.suspendable)
        self._store.submit(call, partial(self._charged, decision, message, place))

    def _charged(
        self, decision: Decision, message: OpenMessage | None, place: bool, outcome: Outcome | StoreError
    ) -> None:
        if message is not None and (outcome.admitted or isinstance(outcome, Outcome)):
            message.fingerprint = _fingerprint(decision.request)
            message.charged = message.charged or outcome.admitted
        if isinstance(outcome, StoreError):
            self._leave(decision, place)
            self._without_store(decision, outcome)
            return
        verdict = decide(decision.plan, outcome, decision.config.schedules, partial(self._posts.family, self._planner))
        if message is not None:
            message.held = message.held or verdict.action is Action.QUARANTINE
        if verdict.action is Action.DELAY:
            wait = outcome.usages[verdict.charge].fits_at - outcome.now
            self._recorder.decided(decision, verdict, outcome)
            self.delays.wait(wait, partial(self._slot_came, decision, verdict, place))
        else:
            self._leave(decision, place)
            self._answer(decision, verdict, outcome)

    def _slot_came(self, decision: Decision, verdict: Verdict, place: bool, in_time: bool) -> None:
        """Answer. When the daemon ends before, the smtpd asks the next one, and waits for the same slot."""
        self._leave(decision, place)
        decision.respond(verdict if in_time else None)

    def _leave(self, decision: Decision, place: bool) -> None:
        """Give the place of an answer back. A request that Postfix repeats may wait without one."""
        if place:
            self.delays.leave(decision.plan.traffic.account)

    # END-OF-MESSAGE

    def _end(self, decision: Decision, message: OpenMessage | None) -> None:
        request, plan = decision.request, decision.plan
        self._messages.ended(decision.conversation, request, plan.traffic.kind)
        if message is not None and message.charged and plan.spared:
            self._give_back(message)
        if not plan.charges or not request.instance or (message and _is_settled(message, request)):
            self._answer(decision, ACCEPT, None)
            return
        record = self._record(decision, _again(decision.config), message)
        self._store.submit(
            Call(Op.SETTLE, plan.traffic.account, record, plan.charges), partial(self._settled, decision)
        )

    def _settled(self, decision: Decision, outcome: Outcome | StoreError) -> None:
        """Accept in any case: a settlement never refuses, and without it the charges of RCPT stand."""
        decision.respond(ACCEPT)
        if isinstance(outcome, StoreError):
            self._recorder.without_store(decision, ACCEPT, outcome)
        else:
            self._recorder.settled(decision, outcome)

    def _give_back(self, message: OpenMessage) -> None:
        record = Record(message.host, message.instance, message.fingerprint, 0)

        def done(outcome: Outcome | StoreError) -> None:
            if isinstance(outcome, Outcome) and outcome.admitted:
                self._recorder.given_back(message)

        self._store.submit(Call(Op.GIVE_BACK, message.traffic.account, record, ()), done)

    # answers: Postfix hears them first, and does not wait for who notes them

    def _record(self, decision: Decision, keep: int, message: OpenMessage | None) -> Record:
        request = decision.request
        uncharged = message.uncharged if message is not None else 0
        host, recipients = decision.conversation.host, min(request.recipient_count, MOST_RECIPIENTS)
        return Record(host, request.instance, _fingerprint(request), keep, uncharged, recipients)

    def _answer(self, decision: Decision, verdict: Verdict, outcome: Outcome | None) -> None:
        decision.respond(verdict)
        self._recorder.decided(decision, verdict, outcome)

    def _without_store(self, decision: Decision, error: StoreError) -> None:
        lenient = error.admitted or decision.config.store.when_down is WhenDown.ACCEPT
        observed = all(charge.observed for charge in decision.plan.charges)
        usual = accepted(decision.plan) if lenient or observed else STORE_DOWN
        verdict = self._mirrored(decision.plan) or usual
        decision.respond(verdict)
        self._recorder.without_store(decision, verdict, error)


def _costs(accounts: Accounts, state: str) -> bool:
    """Return whether something is charged or settled in a state of the protocol."""
    if state == RCPT:
        return not accounts.charge_at_end
    return state == END and (accounts.charge_at_end or accounts.settle_at_end)


def _is_settled(message: OpenMessage, request: PolicyRequest) -> bool:
    """Return whether the charges of a message are right as they are.

    What Postfix holds is not let through: what was charged of it stands, the rest is never charged.
    """
    return message.held or (not message.charged and message.uncharged >= request.recipient_count)


def _fingerprint(request: PolicyRequest) -> str:
    return f"{request.protocol_state} {request.recipient}"


def _again(config: Config) -> int:
    """Return how long Postfix may repeat its last request, in ms."""
    return 2 * config.listen.policy_timeout + MARGIN
