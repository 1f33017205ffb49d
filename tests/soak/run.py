"""A mixed load on two daemons and one Redis, with faults from a seed, and the books at the end.

    python -m tests.soak.run --minutes 10 --seed 7

What must be in them is in books.py.
"""

import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from random import Random
from threading import Event
from time import monotonic

from tests.soak.books import Books, fullest_window, harmed
from tests.soak.faults import EVERY, LIMIT_OF, MOST, ROLLING_MOST, ROLLING_WINDOW, World, world
from tests.soak.load import BOXES, NEWS, PATIENCE, ROLLING, SUSPENDED, Sender

SENDERS = 6
QUIET = (0.2, 2.0)  # seconds between two faults
LAST = 8.0  # seconds without any at the end, whose books are right to the unit
TICK = 0.02  # seconds by which the clock of Redis may be read later than that of the test


def soak(seconds: float, seed: int, say: Callable[[str], None]) -> tuple[list[str], Books]:
    """Run for so long; return what is wrong in the books, and the books."""
    dice, calm, enough, start = Random(seed), Event(), Event(), monotonic()
    with world(dice, lambda what: say(f"{monotonic() - start:7.1f} s  {what}")) as made:
        senders = [
            Sender(made.places[number % len(made.places)], f"{seed}.{number}", calm, enough)
            for number in range(SENDERS)
        ]
        for sender in senders:
            sender.start()
        try:
            while monotonic() - start < seconds - LAST:
                Event().wait(dice.uniform(*QUIET))
                made.fault()
            say(f"{monotonic() - start:7.1f} s  calm")
            calm.set()
            Event().wait(LAST)
        finally:
            enough.set()
            for sender in senders:
                sender.join()
        books = Books()
        for sender in senders:
            if sender.failed is not None:
                raise sender.failed
            books.add(sender.books)
        Event().wait(PATIENCE)
        return list(wrongs(made, books, say)), books


def wrongs(made: World, books: Books, say: Callable[[str], None]) -> Iterator[str]:
    """Yield what is wrong in the books."""
    say(", ".join(f"{number} messages {fate}" for fate, number in books.fates.items()))
    say("may have: what was accepted, and what of the open met a fault, so that nobody knows whether it was counted")
    say("open: answers that never came, messages that were given up, recipients that Postfix refused after us")
    for name, limit in LIMIT_OF.items():
        book, counted = books.of(name), made.used(name, limit)
        least = len(book.accepted)
        if name in BOXES:  # people log in without the store, and nobody counts them
            least -= sum(one.meets(made.away) for one in book.accepted)
        most = len(book.accepted) + harmed(book.open, made.cuts)
        say(
            f"{name:22} accepted {len(book.accepted):6}  Redis {counted:6}  may have {least:6} to {most:6}"
            f"  open {len(book.open):5}  refused {book.refused:6}"
        )
        if not least <= counted <= most:
            yield f"{name}: Redis has {counted}, and not {least} to {most}"
        if least > MOST.get(name, counted):
            yield f"{name}: {least} accepted of at most {MOST[name]}"
    yield from windows(made, books, say)
    yield from members(made, books, say)


def windows(made: World, books: Books, say: Callable[[str], None]) -> Iterator[str]:
    """Yield where too much was accepted within a window, in the slots of a pace, or during a suspension."""
    fullest = fullest_window(books.of(ROLLING).accepted, ROLLING_WINDOW - TICK)
    say(f"{ROLLING}: {fullest} accepted in its fullest {ROLLING_WINDOW} s, at most {ROLLING_MOST}")
    if fullest > ROLLING_MOST:
        yield f"{ROLLING}: {fullest} accepted within {ROLLING_WINDOW} s"
    for slots in (5, 50):
        fullest = fullest_window(books.paced, slots * EVERY - TICK)
        say(f"{NEWS}: {fullest} accepted in the fullest {slots} slots of its pace, {len(books.paced)} in all")
        if fullest > slots + 1:
            yield f"{NEWS}: {fullest} accepted within {slots} slots"
    late = sum(
        one.start > span.start and one.end < span.end
        for one in books.of(SUSPENDED).accepted
        for span in made.suspended
    )
    if late:
        yield f"{SUSPENDED}: {late} accepted while it was suspended"


def members(made: World, books: Books, say: Callable[[str], None]) -> Iterator[str]:
    """Yield whether the list has other members than it mailed to."""
    counted, least = made.used(NEWS, "list-size"), len(books.members)
    most = least + harmed(books.strangers, made.cuts)
    say(f"{NEWS}: mailed to {least} members, Redis has {counted} and may have {most}")
    if not least <= counted <= most:
        yield f"{NEWS}: Redis has {counted} members, and not {least} to {most}"


def main() -> int:
    """Run, and say what is wrong."""
    parser = ArgumentParser(description="a load with faults from a seed, and an audit")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    print(f"seed {asked.seed}, {asked.minutes:g} minutes", flush=True)
    wrong, books = soak(asked.minutes * 60, asked.seed, lambda line: print(line, flush=True))
    print("\n".join(wrong) or f"seed {asked.seed}: {books.fates.total()} messages, all books right")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
