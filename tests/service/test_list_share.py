"""People keep a share: however hard a list tries, it never takes what its domain's own users need."""

from itertools import count
from typing import NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policyd.model import Action, TrafficKind
from tests.support.config import HOUR, MAILMAN, config, rate
from tests.support.deciding import Message, World

DOMAIN_MAX, LIST_MAX = 10, 6
SHARE = rate("list-share", LIST_MAX, traffic=[TrafficKind.LIST])
EXAMPLES = 60
SITE = config(
    rate(max=DOMAIN_MAX),
    SHARE,
    lists=MAILMAN,
    domains=[f"{number}.example.test" for number in range(EXAMPLES)],
    accounts={"settle_at_end": False},
)
_numbers = count()


class Turn(NamedTuple):
    """Somebody sends to so many recipients after so many minutes: a list of the domain, or one of its users."""

    minutes: int
    by_list: bool
    recipients: int


turns = st.builds(Turn, st.integers(0, 40), st.booleans(), st.integers(1, 12))


def sent(world: World, domain: str, *, by_list: bool) -> Message:
    """Return a message of the domain's list, as list software sends it, or of its user."""
    connection = world.connection()
    if by_list:
        said = {"sasl_username": "", "sender": f"news-bounces@{domain}", "policy_context": "mailman"}
        return connection.message(client_address="127.0.0.1", **said)
    return connection.message(sasl_username=f"alice@{domain}")


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(told=st.lists(turns, min_size=1, max_size=12))
def test_people_are_refused_only_when_they_have_had_their_share(world: World, told: list[Turn]) -> None:
    """In no order of attempts does a list take more than its share, or people less than theirs."""
    world.config = SITE
    domain = f"{next(_numbers) % EXAMPLES}.example.test"
    passed: dict[bool, list[int]] = {True: [], False: []}
    for turn in told:
        world.advance(turn.minutes * 60_000)
        answers = sent(world, domain, by_list=turn.by_list).many(turn.recipients)
        now = world.clock.now()
        passed[turn.by_list] += [now] * answers.count(Action.ACCEPT)
        lists, people = (sum(at > now - HOUR for at in passed[by_list]) for by_list in (True, False))
        assert lists <= LIST_MAX
        assert lists + people <= DOMAIN_MAX
        if not turn.by_list and Action.REJECT in answers:
            assert people >= DOMAIN_MAX - LIST_MAX
        if turn.by_list:
            assert Action.REJECT not in answers
    world.advance(2 * HOUR)
