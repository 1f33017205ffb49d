"""The log that a real Postfix wrote, replayed: it charges and refuses what the daemon did."""

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path

from policyd.conf.load import load
from policyd.replay.files import in_order, read
from policyd.replay.messages import Messages
from policyd.replay.report import refusals
from policyd.replay.run import private_store, replay
from policyd.replay.tally import Key, Tally
from tests.support.daemon import Daemon, Serve, rate
from tests.support.postfix import Postfix
from tests.support.sink import Sink
from tests.support.smtp import Login, Session, send
from tests.support.wait import until

LIMIT = "domain-hourly"


def replayed(daemon: Daemon, *logs: Path) -> Tally:
    """Return what the daemon's configuration does to a log."""
    config, messages = load(daemon.path), Messages()
    for lines in read(in_order(logs), lambda _: None):
        assert lines.junk == 0
        messages.take(lines.events)

    async def run() -> Tally:
        async with private_store() as batch:
            return await replay(config, messages.found().mails, batch, lambda _: None)

    return asyncio.run(run())


def asked(tally: Tally, domain: str) -> int:
    """Return how much of the limit was asked for."""
    return tally.counters[Key(domain, LIMIT, domain)].peak.most


def test_what_was_charged(postfix: Postfix, serve: Serve, sink: Sink, domain: str) -> None:
    """Users, scripts over SMTP and by sendmail(1), an aborted message: the replay asks for what the daemon charged."""
    daemon = serve([domain], {LIMIT: rate(400)})
    names, target = [f"r{number}@remote.test" for number in range(7)], f"x@{domain}.sink.test"
    assert send(postfix.port("submission"), f"alice@{domain}", names, Login(f"alice@{domain}")).queued == 7
    assert send(postfix.port("smtp"), f"shop@{domain}", names[:5]).queued == 5
    postfix.sendmail(f"www@{domain}", [*names[:3], target])
    sink.wait(f"{domain}.sink.test", 1)
    daemon.wait_used(domain, LIMIT, 16)
    with Session(postfix.port("smtp")) as session:
        session.mail(f"shop@{domain}")
        session.rcpt(names[0])
    until(lambda: all(one.removed for one in postfix.log.picked_up(domain)), "what was picked up is sent")

    tally = replayed(daemon, postfix.log.path)
    assert asked(tally, domain) == 16
    assert not [one for one in refusals(tally) if one.account == domain]


def test_what_was_refused(postfix: Postfix, serve: Serve, domain: str) -> None:
    """The daemon refused three of ten recipients and then a whole message; the replay refuses the same."""
    daemon = serve([domain], {LIMIT: rate(7)})
    alice, names = Login(f"alice@{domain}"), [f"r{number}@remote.test" for number in range(10)]
    before = datetime.now(UTC).replace(microsecond=0)
    assert send(postfix.port("submission"), alice.name, names, alice).codes == [250] * 7 + [550] * 3
    assert send(postfix.port("submission"), alice.name, names[:2], alice).codes == [550] * 2
    postfix.log.wait_queued(domain, 7)

    [refused] = [one for one in refusals(replayed(daemon, postfix.log.path)) if one.account == domain]
    assert (refused.peak, refused.max, refused.refused) == (12, 7, 5)
    assert before <= datetime.fromisoformat(refused.stretches[0].first) <= datetime.now(UTC)


def test_a_rotated_log(postfix: Postfix, serve: Serve, domain: str, tmp_path: Path) -> None:
    """A log that was rotated in the middle of a message, with its lines out of order, is the same."""
    daemon = serve([domain], {LIMIT: rate(4)})
    alice, names = Login(f"alice@{domain}"), [f"r{number}@remote.test" for number in range(6)]
    assert send(postfix.port("submission"), alice.name, names, alice).queued == 4
    until(lambda: [one for one in postfix.log.of(domain) if one.removed], "it is sent")
    lines = postfix.log.lines
    middle = next(number for number, line in enumerate(lines) if f"from=<{alice.name}>" in line)
    older, newer = tmp_path / "mail.log.1", tmp_path / "mail.log"
    older.write_text("".join(f"{line}\n" for line in lines[:middle]))
    newer.write_text("".join(f"{line}\n" for line in reversed(lines[middle:])))
    os.utime(older, (0, newer.stat().st_mtime))

    whole, rotated = replayed(daemon, postfix.log.path), replayed(daemon, newer, older)
    assert asked(whole, domain) == asked(rotated, domain) == 6
    assert [(one.refused, one.peak) for one in refusals(rotated) if one.account == domain] == [(2, 6)]
