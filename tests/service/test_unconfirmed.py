"""Lists that let people in without their confirmation: they wait, when the admin says so."""

from policyd.model import Action, Mode
from policyd.policy.roster import RosterList, Subscription
from policyd.raises import Raises
from policyd.status import Status
from policyd.store.index import Index
from tests.service.test_sizes import mail
from tests.support.config import MAILMAN, config, size
from tests.support.deciding import World

NEWS = "news@example.org"


def enrolled(world: World, subscription: Subscription, mode: Mode = Mode.ENFORCE) -> None:
    """Have a roster of 30 members, and a limit that allows no list that asks nobody."""
    world.config = config(size("opt-in", 0, unconfirmed=True, mode=mode), lists=MAILMAN)
    world.daemon.service.enrolled({NEWS: RosterList(30, subscription)})


def test_a_list_that_asks_nobody_does_not_mail(world: World) -> None:
    """From the 21st on, when it is a mailing; its confirmations and notices flow."""
    enrolled(world, Subscription.OPEN)
    assert mail(world, 30) == [Action.ACCEPT] * 20 + [Action.DEFER] * 10


def test_it_mails_as_soon_as_it_asks(world: World) -> None:
    """The roster that is read next says so, and what waited flows."""
    enrolled(world, Subscription.OPEN)
    mail(world, 30)
    world.daemon.service.enrolled({NEWS: RosterList(30, Subscription.CONFIRM)})
    assert set(mail(world, 30)) == {Action.ACCEPT}


def test_observed_it_mails_and_is_told_of(world: World) -> None:
    """As whom it would refuse; a list that asks has nothing to tell."""
    enrolled(world, Subscription.MODERATE, Mode.OBSERVE)
    assert set(mail(world, 30)) == {Action.ACCEPT}
    outcome = world.heard.outcomes[-2]
    assert outcome
    assert outcome.usages[0].episode is not None
    redis, roster = world.daemon.store.redis, {NEWS: RosterList(30, Subscription.MODERATE)}
    for known, shown in ((roster, ["opt-in"]), ({NEWS: RosterList(30, Subscription.CONFIRM)}, [])):
        status = Status(redis, Index(redis), Raises(redis), lambda known=known: known)  # type: ignore[misc]
        assert [gauge.limit for gauge in world.run(status.of(world.config, NEWS))] == shown
