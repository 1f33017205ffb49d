"""A mixed load on two daemons and one Redis, with faults from a seed, and the books at the end.

    python -m tests.soak.run --minutes 10 --seed 7

For each name that mail was sent under, with "open" for what had no clear answer and met a fault:

    accepted <= max                          in every window
    accepted <= Redis <= accepted + open     Redis loses nothing when it is killed (appendfsync always)
    Redis == accepted                        where nothing is open
    nothing accepted while suspended
"""

import sys
from argparse import ArgumentParser
from bisect import bisect_right
from collections.abc import Callable
from random import Random
from threading import Event
from time import monotonic

from tests.soak.faults import (
    DAEMONS,
    LOGIN_MOST,
    ROLLING_MOST,
    ROLLING_WINDOW,
    TIGHT_MOST,
    World,
    world,
)
from tests.soak.load import FREE, LOGINS, ROLLING, SUSPENDED, TIGHT, Account, Sender, Span

SENDERS = 6
QUIET = (0.2, 2.0)  # seconds between two faults
TICK = 0.02  # seconds by which the clock of Redis may be read later than that of the test


def soak(seconds: float, seed: int, say: Callable[[str], None]) -> tuple[list[str], int]:
    """Run for so long; return what is wrong in the books, and how many were accepted."""
    dice, enough, start = Random(seed), Event(), monotonic()
    with world(dice, lambda what: say(f"{monotonic() - start:7.1f} s  {what}")) as made:
        senders = [
            Sender(made.redis.directory / f"policy{number % DAEMONS}", f"{seed}.{number}", enough)
            for number in range(SENDERS)
        ]
        for sender in senders:
            sender.start()
        try:
            while monotonic() - start < seconds:
                Event().wait(dice.uniform(*QUIET))
                made.fault()
        finally:
            enough.set()
            for sender in senders:
                sender.join()
        for sender in senders:
            if sender.failed is not None:
                raise sender.failed
        kept = merged([sender.kept for sender in senders])
        return audit(made, kept, say), sum(len(kept.accepted.get(domain, [])) for domain in DOMAINS)


DOMAINS = (FREE, TIGHT, ROLLING, SUSPENDED)
NAMES = (*DOMAINS, *(f"{login}@{domain}" for domain in DOMAINS for login in LOGINS))


def merged(parts: list[Account]) -> Account:
    """Return what all senders know."""
    whole = Account()
    for part in parts:
        for name in NAMES:
            whole.accepted.setdefault(name, []).extend(part.accepted.get(name, []))
            whole.open.setdefault(name, []).extend(part.open.get(name, []))
        whole.refused.update(part.refused)
    return whole


def audit(made: World, kept: Account, say: Callable[[str], None]) -> list[str]:
    """Return what is wrong in the books."""
    wrong: list[str] = []
    for name in NAMES:
        counted = made.daemons[0].used(name, "user-hourly" if "@" in name else "domain-hourly")
        accepted = len(kept.accepted[name])
        unclear = sum(any(one.meets(cut) for cut in made.cuts) for one in kept.open[name])
        say(
            f"{name:22} accepted {accepted:6}  Redis {counted:6}  open at a fault {unclear:3}"
            f"  deferred without the store {len(kept.open[name]):5}  refused {kept.refused[name]:6}"
        )
        if not accepted <= counted <= accepted + unclear:
            wrong.append(f"{name}: Redis has {counted} of {accepted} that were accepted, and {unclear} open")
        if accepted > _most(name):
            wrong.append(f"{name}: {accepted} accepted of at most {_most(name)}")
    fullest = fullest_window(kept.accepted[ROLLING], ROLLING_WINDOW - TICK)
    say(f"{ROLLING}: {fullest} accepted in its fullest {ROLLING_WINDOW} s, at most {ROLLING_MOST}")
    if fullest > ROLLING_MOST:
        wrong.append(f"{ROLLING}: {fullest} accepted within {ROLLING_WINDOW} s")
    late = sum(
        one.start > span.start and one.end < span.end for one in kept.accepted[SUSPENDED] for span in made.suspended
    )
    if late:
        wrong.append(f"{SUSPENDED}: {late} accepted while it was suspended")
    return wrong


def fullest_window(accepted: list[Span], window: float) -> int:
    """Return the most that were surely charged within one window: asked after its begin, answered before its end."""
    ends = sorted(accepted, key=lambda one: one.end)
    most = 0
    for number, last in enumerate(ends):
        first = bisect_right(ends, last.end - window, hi=number, key=lambda one: one.end)
        most = max(most, sum(one.start > last.end - window for one in ends[first : number + 1]))
    return most


def _most(name: str) -> int:
    if not name.endswith(TIGHT):
        return 10**9
    return LOGIN_MOST if "@" in name else TIGHT_MOST


def main() -> int:
    """Run, and say what is wrong."""
    parser = ArgumentParser(description="a load with faults from a seed, and an audit")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    print(f"seed {asked.seed}, {asked.minutes:g} minutes", flush=True)
    wrong, accepted = soak(asked.minutes * 60, asked.seed, lambda line: print(line, flush=True))
    print("\n".join(wrong) or f"{accepted} recipients accepted, all books right")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
