"""``policyd replay``: what limits would have done to the mail of a log."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from policyd.cli.output import CONFIG, ConfigOption, JsonOption, local_time, print_json, reported
from policyd.conf.load import load
from policyd.conf.schema import Config
from policyd.plural import plural
from policyd.policy.decide import duration, moment
from policyd.printable import printable
from policyd.replay.files import in_order, read
from policyd.replay.messages import Found, Messages
from policyd.replay.report import Changed, LimitUse, RefusedSubject, compared, refusals, uses
from policyd.replay.run import left_out, private_store, replay
from policyd.replay.tally import Tally


class _Log(NamedTuple):
    files: int
    lines: int
    junk: int
    found: Found


def replay_(
    files: Annotated[list[Path], typer.Argument(metavar="MAILLOG...", help="Logs of Postfix, plain or gzip.")],
    config: ConfigOption = CONFIG,
    against: Annotated[
        str, typer.Option("--against", metavar="FILE", help="Another configuration: what changes from it to --config.")
    ] = "",
    top: Annotated[int, typer.Option("--top", min=1, help="How many of those who would be refused to show.")] = 20,
    json: JsonOption = False,
) -> None:
    """Show what the limits would have done to the mail of a Postfix log: who is refused, when, by which limit.

    The same rules and the same counting as the daemon's, on a store of its own, at the log's own
    time; nothing that runs is asked or charged. A configuration that observes is replayed as if it
    enforced. Logs of other programs, and lines that are none, are left out and counted.

    For example:

    policyd replay /var/log/mail.log*

    policyd replay /var/log/mail.log* --config new.yaml --against /etc/policyd/policyd.yaml
    """
    with reported(), _progress() as progress:
        new, old = load(config), load(against) if against else None
        log = _read(files, progress)
        tallies = asyncio.run(_replayed([new, *([old] if old else [])], log.found, progress))
    changes = compared(tallies[1], tallies[0]) if old else []
    if json:
        print_json({**_json(log, tallies[0], changes), "not_replayed": left_out(new)})
        return
    _print(log, tallies[0], top, left_out(new))
    if old:
        _print_changes(changes, top)


def _read(paths: Sequence[Path], progress: Progress) -> _Log:
    files, messages, lines, junk = in_order(paths), Messages(), 0, 0
    task = progress.add_task("reading", total=sum(file.size for file in files))
    for some in read(files, partial(progress.advance, task)):
        messages.take(some.events)
        lines, junk = lines + some.total, junk + some.junk
    return _Log(len(files), lines, junk, messages.found())


async def _replayed(configs: Sequence[Config], found: Found, progress: Progress) -> list[Tally]:
    tallies = []
    async with private_store() as batch:
        for config in configs:
            task = progress.add_task("replaying", total=len(found.mails))
            tallies.append(await replay(config, found.mails, batch, partial(progress.advance, task)))
    return tallies


@contextmanager
def _progress() -> Iterator[Progress]:
    """Yield a progress bar on a terminal, and nothing elsewhere."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield progress


def _print(log: _Log, tally: Tally, top: int, others: Sequence[str]) -> None:
    for line in _head(log, tally):
        print(line)
    if others:
        print(f"not replayed: {', '.join(others)} (sizes, paces and logins are nothing that a log tells of)")
    if not tally.counters:
        print("\nno mail of a customer: is this the log of the host whose domains the configuration names?")
        return
    console = Console(highlight=False)
    print()
    console.print(_limits(uses(tally)))
    found = refusals(tally)
    print()
    if not found:
        print("nobody would have been refused")
        return
    console.print(_refused(found[:top]))
    if len(found) > top:
        print(f"and {len(found) - top} more (--top)")


def _head(log: _Log, tally: Tally) -> Iterator[str]:
    mails = log.found.mails
    span = f", {local_time(moment(mails[0].at))} to {local_time(moment(mails[-1].at))}" if mails else ""
    yield f"{plural(log.lines, 'line', ',')} of {plural(log.files, 'file', ',')}{span}"
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in tally.traffic.most_common())
    recipients = plural(tally.traffic.total(), "recipient", ",")
    yield f"{plural(len(mails), 'message', ',')} to {recipients} ({kinds or 'none'})"
    found = log.found
    left = {
        "that Postfix made itself": found.own, "that a filter handed back": found.again,
        "without a beginning or an end": found.unfinished, "lines that are no log": log.junk,
    }  # fmt: skip
    yield "left out: " + (", ".join(f"{count:,} {what}" for what, count in left.items() if count) or "nothing")


def _limits(found: Sequence[LimitUse]) -> Table:
    """Return how much was asked of each limit in the fullest windows."""
    table = _table("limit", "plan", "max", title="How much was asked in one window, at most")
    for name in ("subjects", "half", "90 %", "99 %", "most", "over"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in found:
        shown = (one.subjects, one.half, one.most_90, one.most_99, one.most, one.over)
        maximum = f"{one.max:,} in {duration(one.window)}"
        table.add_row(_name(one.limit, one.mode), one.plan or "-", maximum, *(f"{number:,}" for number in shown))
    return table


def _refused(found: Sequence[RefusedSubject]) -> Table:
    table = _table("subject", "limit", "asked/max", title="Who would have been refused")
    table.columns[2].justify = "right"
    for name in ("refused", "times"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("first", no_wrap=True)
    for one in found:
        asked, first = f"{one.peak:,}/{one.max:,}", local_time(one.stretches[0].first)
        subject = Text(printable(one.subject))
        table.add_row(subject, _name(one.limit, one.mode), asked, f"{one.refused:,}", str(len(one.stretches)), first)
    return table


def _print_changes(changes: Sequence[Changed], top: int) -> None:
    print()
    if not changes:
        print("the same is refused under both configurations")
        return
    table = _table("subject", "limit", title="What changes")
    for name in ("max", "refused"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in changes[:top]:
        maxima = " -> ".join("-" if most is None else f"{most:,}" for most in (one.old_max, one.new_max))
        table.add_row(Text(printable(one.subject)), one.limit, maxima, f"{one.old_refused:,} -> {one.new_refused:,}")
    Console(highlight=False).print(table)
    if len(changes) > top:
        print(f"and {len(changes) - top} more (--top)")


def _table(*columns: str, title: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", title=title, title_justify="left", title_style="bold")
    for name in columns:
        table.add_column(name, overflow="fold")
    return table


def _name(limit: str, mode: str) -> str:
    return f"{limit} (observe)" if mode == "observe" else limit


def _json(log: _Log, tally: Tally, changes: Sequence[Changed]) -> dict[str, Any]:
    mails, found = log.found.mails, log.found
    return {
        "log": {
            "files": log.files, "lines": log.lines, "junk": log.junk, "messages": len(mails),
            "first": moment(mails[0].at) if mails else "", "last": moment(mails[-1].at) if mails else "",
            "own": found.own, "again": found.again, "unfinished": found.unfinished,
        },
        "recipients": dict(tally.traffic),
        "limits": [asdict(one) for one in uses(tally)],
        "refused": [asdict(one) for one in refusals(tally)],
        "changes": [asdict(one) for one in changes],
    }  # fmt: skip
