"""Who mails to many different recipients and is no registered list: told, or deferred, with the reason."""

from policyd.conf.listed import KnownList, Lists
from policyd.conf.schema import Config
from policyd.model import Action, Counts, Per
from policyd.policy.roster import NO_ROSTER
from policyd.raises import Raises
from policyd.status import Status
from policyd.store.index import Index
from tests.support.config import HOUR, config, rate
from tests.support.deciding import World

DAY = 24 * HOUR
BULK = rate("bulk", 5, DAY, counts=Counts.DISTINCT, per=Per.USER)
NAMES = [f"m{number}@remote.test" for number in range(10)]


def site(**lists: object) -> Config:
    """Return a configuration with bulk alone."""
    return config(BULK, lists=Lists(contexts=frozenset({"mailman"}), **lists))  # type: ignore[arg-type]


def test_a_user_is_refused_beyond_so_many_different_recipients(world: World) -> None:
    """He goes on writing to those that he wrote to, in any message, until the day is over."""
    world.config = site()
    smtpd = world.connection()
    assert smtpd.message().to(*NAMES) == [Action.ACCEPT] * 5 + [Action.REJECT] * 5
    assert smtpd.message().to(*NAMES[:5]) == [Action.ACCEPT] * 5
    world.advance(DAY + 6 * HOUR)
    assert smtpd.message().to(NAMES[9]) == [Action.ACCEPT]


def test_a_list_that_nobody_registered_is_its_login(world: World) -> None:
    """Whatever lists he makes up, they wait together; one that the configuration names flows."""
    world.config = site(known={"php@example.org": KnownList("known@example.org")})
    smtpd = world.connection()
    assert smtpd.message(sender="a-bounces@example.org").to(*NAMES[:4]) == [Action.ACCEPT] * 4
    assert smtpd.message(sender="b-bounces@example.org").to(*NAMES[3:7]) == [Action.ACCEPT] * 2 + [Action.DEFER] * 2
    assert smtpd.message(sender="known-bounces@example.org").to(*NAMES) == [Action.ACCEPT] * 10


def test_what_was_not_sent_is_not_counted(world: World) -> None:
    """A message that is given up gives its recipients back."""
    world.config = site()
    smtpd = world.connection()
    sent = smtpd.message()
    sent.to(*NAMES[:2])
    sent.end(2)
    smtpd.message().to(*NAMES[2:5])
    assert smtpd.message().to(*NAMES[5:8]) == [Action.ACCEPT] * 3


def test_status_shows_whom_a_sender_wrote_to(world: World) -> None:
    """As so many distinct recipients of so many."""
    world.config = site()
    world.connection().message().to(*NAMES[:3], *NAMES[:3])
    redis = world.daemon.store.redis
    (gauge,) = world.run(
        Status(redis, Index(redis), Raises(redis), lambda: NO_ROSTER).of(world.config, "alice@example.org")
    )
    assert (gauge.limit, gauge.counts, gauge.used, gauge.max) == ("bulk", "distinct-recipients", 3, 5)
