"""``policyd suspend`` and ``policyd resume``: sending stops and starts again; what waits in Postfix's queue too."""

import os
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from policyd.cli.client import AdminClient
from policyd.cli.output import (
    ADMIN,
    PROBLEM,
    AdminOption,
    JsonOption,
    local_time,
    moment_written,
    print_json,
    reported,
    usage,
    warn,
)
from policyd.mailqueue import HOLD, Held, MailQueue, Queued
from policyd.plural import plural
from policyd.printable import printable

_AT_ONCE = 1_000

SubjectArgument = Annotated[
    str,
    typer.Argument(
        metavar="SUBJECT",
        help="A domain, a login (user@example.org), list:news@example.org or mailbox:user@example.org.",
    ),
]
PostfixOption = Annotated[
    str, typer.Option("--postfix-config", metavar="DIR", help="The configuration directory of another Postfix.")
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before messages are touched.")]


class Queue(StrEnum):
    """What is done with the subject's messages that are in Postfix's queue already."""

    HOLD = "hold"
    DELETE = "delete"
    LEAVE = "leave"


class Touched(NamedTuple):
    """What became of the messages in the queue."""

    found: int = 0
    held: int = 0
    deleted: int = 0
    released: int = 0


def suspend(
    subject: SubjectArgument,
    *,
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why: kept in the events, not told to the customer.")],
    until: Annotated[
        str, typer.Option("--until", metavar="WHEN", help="6h, 3d, 2026-12-24 or 2026-12-24T18:00; else until resumed.")
    ] = "",
    queue: Annotated[Queue, typer.Option("--queue", help="What is done with its messages in the queue.")] = Queue.LEAVE,
    yes: YesOption = False,
    postfix_directory: PostfixOption = "",
    admin: AdminOption = ADMIN,
    json: JsonOption = False,
) -> None:
    """Stop the sending of a domain, a login, a list or a mailbox, on every daemon from the next request on.

    Receiving goes on. A user hears 550, scripts and lists 450, so that their mail waits. With
    --queue hold, messages that wait in this host's Postfix queue are put on hold, and policyd
    resume releases those, no others; --queue delete removes them. Both show how many first and
    ask; they need root.

    For example:

    policyd suspend example.org --reason "phishing, ticket 4711" --queue hold

    policyd suspend bob@example.org --reason "stolen password" --until 6h
    """
    if queue is not Queue.LEAVE and os.geteuid() != 0:
        usage("--queue hold and --queue delete need root", "run it with sudo, or write --queue leave")
    if queue is not Queue.LEAVE and json and not yes:
        usage("--json cannot ask before messages are touched", "add --yes")
    end = moment_written(until)
    client = AdminClient(admin)
    with reported():
        done = client.post("/v1/suspend", subject=subject, reason=reason, until=end)
        touched = Touched()
        if queue is not Queue.LEAVE:
            touched = _stop(client, done, queue, MailQueue(postfix_directory), ask=not yes)
    if json:
        print_json({"suspended": done, "queue": touched._asdict()})
        return
    ends = f"until {local_time(done['until'])}" if done["until"] else "until it is resumed"
    print(f"{printable(done['subject'])} is suspended {ends}; ref {done['ref']}")
    if not done["hosted"]:
        warn(f"{done['account']} is not hosted here: only a login of that name is stopped")
    _print_touched(touched)
    if queue is not Queue.LEAVE and not touched.found:
        print("no message of it is in the queue")
    if queue is Queue.LEAVE:
        print("what is in the queue already is still sent; --queue hold or --queue delete stops it")


def resume(
    subject: SubjectArgument,
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why, for the events.")] = "",
    postfix_directory: PostfixOption = "",
    admin: AdminOption = ADMIN,
    json: JsonOption = False,
) -> None:
    """End a suspension, and release the messages that it has put on hold on this host.

    What somebody else has put on hold stays there. A suspension that has ended by itself has left
    its messages on hold: this releases them, too.

    For example: policyd resume example.org --reason "site cleaned, ticket 4711"
    """
    with reported():
        done = AdminClient(admin).post("/v1/resume", subject=subject, reason=reason)
        released = _release(done, MailQueue(postfix_directory)) if os.geteuid() == 0 else 0
    if json:
        print_json({"resumed": done, "queue": Touched(released=released)._asdict()})
    elif done["was"]:
        print(f"{printable(done['subject'])} may send again")
    elif not released:
        warn(f"{printable(done['subject'])} is not suspended")
    if not json:
        _print_touched(Touched(released=released))
    if os.geteuid() != 0:
        warn("what it has put on hold in the queue is released by root only: run the same with sudo")
    if not done["was"] and not released:
        raise typer.Exit(PROBLEM)


def _stop(client: AdminClient, done: dict[str, Any], queue: Queue, postfix: MailQueue, *, ask: bool) -> Touched:
    """Hold or delete the messages of who was suspended."""
    found = [one for one in _sent_by(client, done, postfix.messages()) if queue is Queue.DELETE or one.queue != HOLD]
    if found and ask:
        where = ", ".join(f"{count} {name}" for name, count in sorted(Counter(one.queue for one in found).items()))
        what = "Delete them" if queue is Queue.DELETE else "Put them on hold"
        print(f"{plural(len(found), 'message')} of {printable(done['subject'])} in the queue ({where})")
        if not typer.confirm(f"{what}?"):
            return Touched(len(found))
    ids = [one.id for one in found]
    if queue is Queue.DELETE:
        postfix.delete(ids)
        return Touched(len(found), deleted=len(set(ids) - {one.id for one in postfix.listed()}))
    _held(done).add(found)
    postfix.hold(ids)
    return Touched(len(found), held=len(set(ids) & {one.id for one in postfix.listed() if one.queue == HOLD}))


def _sent_by(client: AdminClient, done: dict[str, Any], messages: list[Queued]) -> list[Queued]:
    """Return the messages that would be refused now: the daemon says who is charged for each."""
    found = []
    for start in range(0, len(messages), _AT_ONCE):
        part = messages[start : start + _AT_ONCE]
        asked = [[one.sent.login, one.sender, one.sent.client] for one in part]
        senders = client.post("/v1/senders", messages=asked)["senders"]
        found += [
            one
            for one, (account, *names) in zip(part, senders, strict=True)
            if account == done["account"] and done["name"] in names
        ]
    return found


def _release(done: dict[str, Any], postfix: MailQueue) -> int:
    """Release what a suspension has put on hold and is still there, and return how much that was."""
    held = _held(done)
    kept = held.messages()
    if not kept:
        return 0
    ids = [one.id for one in postfix.listed() if one.queue == HOLD and kept.get(one.id) == one.arrived]
    postfix.release(ids)
    held.forget()
    return len(ids)


def _held(done: dict[str, Any]) -> Held:
    return Held(Path(done["state_directory"]), f"{done['account']} {done['name']}")


def _print_touched(touched: Touched) -> None:
    words = {"held": "put on hold", "deleted": "deleted", "released": "released from hold"}
    for name, count in touched._asdict().items():
        if name in words and count:
            print(f"{plural(count, 'message')} {words[name]}")
