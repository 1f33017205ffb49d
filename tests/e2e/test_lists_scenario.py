"""The terms about lists, all at once: a real Mailman 3, a real Postfix, plans that are a tenth of the shipped ones."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.daemon import HOUR, LocalDaemon, Serve, Yaml
from tests.support.mailman import Mailman
from tests.support.postfix import Postfix
from tests.support.secretfile import write_secret
from tests.support.sink import Sink
from tests.support.smtp import Login, Sent, post
from tests.support.wait import until

PACE = 20
LIMITS: Yaml = {
    "list-size": {"kind": "size", "max": 100},
    "list-family": {"kind": "size", "per": "list-family", "max": 100, "mode": "observe"},
    "list-off-peak": {"kind": "size", "max": 90, "lifted_by": "off-peak"},
    "list-pace": {
        "kind": "pace", "per": "list", "by": "answer", "every": f"{PACE}ms", "delay_up_to": "20s", "traffic": ["list"],
    },
}  # fmt: skip
OFF_PEAK: Yaml = {"timezone": "America/New_York", "open": ["Sat-Sun", "Mon-Fri 01:00-08:00"]}
DEDICATED: Yaml = {"extends": "shared", "without": ["list-size", "list-family", "list-off-peak"]}
NOON = 19 * HOUR + 33 * 60_000 + 20_000
"""On Friday in New York: the clock begins on Thursday at 16:26:40. Twelve hours later off-peak opens."""


def home(posting: str) -> str:
    """Return the domain of a list's members."""
    return f"{posting.replace('@', '.')}.sink.test"


@dataclass
class Host:
    """A mail host with a customer on each plan."""

    postfix: Postfix
    mailman: Mailman
    sink: Sink
    daemon: LocalDaemon

    def post(self, posting: str) -> Sent:
        """Post to a list as a user of its domain."""
        return post(self.postfix.port("submission"), Login(f"alice@{posting.partition('@')[2]}"), posting)

    def copies(self, posting: str) -> Counter[str]:
        """Return how many copies each member of a list has."""
        arrived = self.sink.to(home(posting))
        return Counter(name for one in arrived for name in one.recipients)

    def wait_copies(self, posting: str, number: int) -> None:
        """Wait, while time goes on by a slot of the pace at each look, until so many members have a copy."""

        def enough() -> bool:
            self.daemon.advance(PACE)
            return len(self.copies(posting)) >= number

        until(enough, f"{number} copies of {posting}", deadline=120)

    def observed(self, limit: str) -> bool:
        """Return whether a limit would have refused something, while time goes on."""
        self.daemon.advance(PACE)
        return self.daemon.metric("policyd_observed_refusals_total", limit=limit, plan="shared", traffic="list") > 0

    def waits(self, posting: str) -> bool:
        """Return whether copies of a list were told to wait."""
        events = self.daemon.ask("/v1/events", subject=posting.partition("@")[2])["events"]
        return any(one["event"] == "mailing-waits" and one["subject"] == posting for one in events)


Start = Callable[[dict[str, int]], Host]


@pytest.fixture
def start(postfix: Postfix, mailman: Mailman, sink: Sink, serve: Serve, domain: str, tmp_path: Path) -> Start:  # noqa: PLR0917
    """Return what makes lists with so many members each, and then a policyd that reads their rosters, at noon."""
    secret = tmp_path / "mailman.password"
    write_secret(secret, mailman.password)

    def make(lists: dict[str, int]) -> Host:
        for posting, size in lists.items():
            mailman.add_list(posting, [f"m{number}@{home(posting)}" for number in range(size)])
        mailman.deliver("lists", verp=False)
        daemon = serve(
            [domain],
            LIMITS,
            lists={"contexts": ["mailman"], "mailing_over": 1, "seen_slack": "0%", "gives_up_after": "5d"},
            schedules={"off-peak": OFF_PEAK},
            plans={"dedicated": DEDICATED},
            accounts={"domains": {domain: "shared", f"large-{domain}": "dedicated"}},
            mailman={"url": mailman.url, "user": mailman.user, "password_file": str(secret)},
        )
        until(lambda: daemon.metric("policyd_roster_lists") >= len(lists), "the rosters are read")
        daemon.advance(NOON)
        return Host(postfix, mailman, sink, daemon)

    return make


@pytest.mark.timeout(300)
def test_small_lists_flow_large_ones_wait_and_too_large_ones_are_refused(start: Start, domain: str) -> None:
    """Of 25 at any hour, of 95 from Saturday on, of 101 on the plan dedicated; two of a stem are seen together."""
    small, large, huge = f"small@{domain}", f"large@{domain}", f"huge@{domain}"
    roomy, family = f"huge@large-{domain}", [f"news1@{domain}", f"news2@{domain}"]
    host = start({small: 25, large: 95, huge: 101, roomy: 101} | dict.fromkeys(family, 60))

    assert host.post(huge).codes == [550]
    assert [host.post(posting).queued for posting in (small, roomy, large, *family)] == [1] * 5
    for posting, members in {small: 25, roomy: 101, family[0]: 60, family[1]: 60}.items():
        host.wait_copies(posting, members)
    until(lambda: host.waits(large), "the large list waits")
    assert len(host.copies(large)) < 95

    host.daemon.advance(2 * HOUR)
    assert host.post(family[0]).queued == 1
    until(lambda: host.observed("list-family"), "the family is seen")

    host.daemon.advance(10 * HOUR)
    host.wait_copies(large, 95)
    host.mailman.wait_idle()
    assert set(host.copies(large).values()) == {1}
    assert not host.copies(huge)
