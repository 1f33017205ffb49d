"""Posts to lists: looked at before anything of them is charged, with one call of the store that changes nothing.

What is no list's posting address costs no call. Where the store does not answer, the fan-out is what is judged.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from policyd.conf.schema import SizeLimit
from policyd.errors import StoreError
from policyd.model import Outcome, PolicyRequest, Sure, Suspension, Traffic, Verdict
from policyd.policy.door import at_door, door, posted, refuse_post
from policyd.policy.plan import ChargePlan, Planner
from policyd.policy.sizes import Seen, taken_together
from policyd.store.base import Call, Op, Store
from policyd.suspension import Mirror


class Post(NamedTuple):
    """A post to a list. ``look`` is what is looked at, None where nothing is; ``shut`` that the list is suspended."""

    look: ChargePlan | None
    shut: Suspension | None


class Refused(NamedTuple):
    """The refusal of a post, the plan that it is recorded under, and what the store said."""

    verdict: Verdict
    plan: ChargePlan
    outcome: Outcome | None


class Posts:
    """Asks at the doors of lists."""

    def __init__(self, store: Store, mirror: Mirror, seen: Seen) -> None:
        self._store, self._mirror, self._seen = store, mirror, seen

    def find(self, planner: Planner, request: PolicyRequest, now: int) -> Post | None:
        """Return the post that a recipient makes of a mail, None where nothing stands against it without a look."""
        shut = self._mirror.door(request.recipient, planner.config.accounts.delimiter, now)
        look = door(planner, self._seen, request, now)
        if shut is None and look is not None:
            shut = self._mirror.find(look.traffic.account, look.suspendable, now)
        if shut is not None:
            return Post(None, shut)
        return Post(look, None) if look is not None and look.charges else None

    def ask(self, planner: Planner, post: Post, plan: ChargePlan, answer: Callable[[Refused | None], None]) -> None:
        """Call ``answer``, now or later, with the refusal of a post that would be charged as in ``plan``."""
        if post.shut is not None:
            answer(Refused(refuse_post(plan.traffic.kind, post.shut), plan, None))
        elif post.look is not None:
            look = post.look
            call = Call(Op.PEEK, look.traffic.account, None, look.charges, look.suspendable)
            self._store.submit(call, partial(self._looked, planner, look, plan.traffic, answer))

    def mailed(self, traffic: Traffic, now: int) -> None:
        """Note that a list mails, which is a list for sure."""
        if traffic.list and traffic.sure is Sure.VERIFIED:
            self._seen.note(traffic.list, now)

    def family(self, planner: Planner, limit: SizeLimit, posting: str) -> list[str]:
        """Return the names of the lists that a limit judges together with one."""
        return taken_together(planner.lists, self._seen, limit, posting)

    def _looked(
        self, planner: Planner, look: ChargePlan, author: Traffic, answer: Callable[[Refused | None], None],
        outcome: Outcome | StoreError,
    ) -> None:  # fmt: skip
        if isinstance(outcome, StoreError):
            answer(None)
            return
        verdict = at_door(planner.config, look, author, outcome, partial(self.family, planner))
        answer(Refused(verdict, posted(look, author), outcome) if verdict is not None else None)
