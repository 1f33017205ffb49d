"""Mail under a Config: the daemon's own plan and script, at the log's time."""

import asyncio

from policyd.conf.schema import Config
from policyd.model import Counts, Mode, TrafficKind
from policyd.replay.messages import Mail
from policyd.replay.report import compared, refusals, uses
from policyd.replay.run import private_store, replay
from policyd.replay.tally import Key, Tally
from tests.replay.logged import NOW
from tests.support.config import config, rate

MINUTE, HOUR = 60_000, 3_600_000


def mail(at: int = NOW, recipients: int = 1, **fields: object) -> Mail:
    """Return a message of alice."""
    names = tuple(f"r{number}@remote.test" for number in range(recipients))
    plain = Mail(at, "submission", "192.0.2.7", "alice@example.org", "alice@example.org", 300, names)
    return plain._replace(**fields)  # type: ignore[arg-type]


def replayed(*configs: Config, mails: list[Mail]) -> list[Tally]:
    """Return what becomes of mail under each configuration."""

    async def run() -> list[Tally]:
        async with private_store() as batch:
            return [await replay(one, mails, batch, lambda _: None) for one in configs]

    return asyncio.run(run())


def test_who_is_refused_and_when() -> None:
    """Of five messages in an hour the limit takes three, and when the hour is over the next; then the story is told."""
    mails = [mail(NOW + number * MINUTE) for number in range(5)] + [mail(NOW + HOUR + 30_000)]
    [tally] = replayed(config(rate(max=3)), mails=mails)
    [refused] = refusals(tally)

    assert (refused.account, refused.limit, refused.refused, refused.peak) == ("example.org", "domain-hourly", 2, 5)
    assert [(one.first[11:19], one.last[11:19], one.refused) for one in refused.stretches] == [
        ("10:03:00", "10:04:00", 2)
    ]
    assert tally.traffic == {TrafficKind.USER: 6}


def test_a_large_message_is_let_through_in_part() -> None:
    """Each recipient is asked about, as at RCPT; more than fit into one batch go on in the next."""
    [tally] = replayed(config(rate(max=700)), mails=[mail(recipients=1500)])

    assert refusals(tally)[0].refused == 800


def test_at_the_end_of_the_message_it_is_refused_whole() -> None:
    """With charge_at: end-of-message one call decides about all recipients, and all of them are refused."""
    at_end = config(rate(max=700), accounts={"charge_at_end": True})
    [tally] = replayed(at_end, mails=[mail(recipients=1500), mail(recipients=600)])

    assert [(one.refused, one.peak) for one in refusals(tally)] == [(1500, 2100)]


def test_messages_are_counted_once() -> None:
    """A limit of messages is charged once for each, however many recipients it has."""
    [tally] = replayed(config(rate(max=2, counts=Counts.MESSAGES)), mails=[mail(NOW + at, 5) for at in range(3)])

    assert [(one.refused, one.peak) for one in refusals(tally)] == [(5, 3)]


def test_observe_is_replayed_as_enforce() -> None:
    """A file in mode observe refuses in a replay; a limit that observes by itself only says what it would have done."""
    mails = [mail(NOW + number) for number in range(5)]
    whole, one = config(rate(max=3), mode=Mode.OBSERVE), config(rate(max=3, mode=Mode.OBSERVE))
    refused = [refusals(tally)[0] for tally in replayed(whole, one, mails=mails)]

    assert [(one.refused, one.mode) for one in refused] == [(2, "enforce"), (2, "observe")]


def test_what_was_refused_is_charged_to_its_sender() -> None:
    """Where Postfix logged no login with a refusal; other mail from outside costs nobody anything."""
    refused = mail(login="", refused=True)
    [tally] = replayed(config(rate(max=3)), mails=[refused, mail(login="")])

    assert list(tally.counters) == [Key("example.org", "domain-hourly", "example.org")]
    assert tally.traffic == {TrafficKind.USER: 1, TrafficKind.INBOUND: 1}


def test_how_full_a_limit_was() -> None:
    """Of ten domains nine asked for 1 to 9 and one for 100: half for 5, nine of ten for 9."""
    mails = [mail(recipients=count if count < 10 else 100, login=f"x@d{count}.example") for count in range(1, 11)]
    [tally] = replayed(config(rate(max=50)), mails=mails)
    [use] = uses(tally)

    assert (use.subjects, use.half, use.most_90, use.most_99, use.most) == (10, 5, 9, 100, 100)
    assert (use.fullest, use.over, use.refused) == ("d10.example", 1, 50)


def test_what_another_maximum_changes() -> None:
    """Only counters that refuse more or less are shown, with both maxima."""
    mails = [mail(recipients=5), mail(login="x@example.net"), mail(recipients=9, login="y@d.example")]
    old, new = replayed(config(rate(max=3)), config(rate(max=6)), mails=mails)
    changed = [(one.subject, one.old_max, one.new_max, one.old_refused, one.new_refused) for one in compared(old, new)]

    assert changed == [("d.example", 3, 6, 6, 3), ("example.org", 3, 6, 2, 0)]
