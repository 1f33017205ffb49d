"""``policyd status``: usage against limits, as bars."""

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any

import typer
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from policyd.cli.client import AdminClient
from policyd.cli.output import (
    ADMIN,
    UNREACHABLE,
    AdminOption,
    JsonOption,
    local_time,
    print_json,
    reported,
    suspended_line,
    usage,
)
from policyd.errors import DaemonError
from policyd.model import LOGIN_COUNTS
from policyd.plural import plural
from policyd.policy.decide import duration
from policyd.printable import printable

_EVERY = 2.0
"""Seconds between two looks."""

_LEVELS, _PLAIN_LEVELS = " ▁▂▃▄▅▆▇█", " .:-=+*%#"
_BAR = 10
_WARM, _FULL = 0.8, 1.0

_MEANWHILE = {
    "accept": "mail flows without limits",
    "defer": "mail that would be charged waits",
    "local": "mail flows within the limits, as far as this daemon counts",
}
"""What ``store.when_down`` means."""


def status(  # noqa: PLR0917  # options
    subject: Annotated[
        str, typer.Argument(help='A domain, a login, a client or "(unlisted)". Without it: the fullest.')
    ] = "",
    would_refuse: Annotated[
        bool, typer.Option("--would-refuse", help="Who would have been refused in the last week but for mode observe.")
    ] = False,
    top: Annotated[int, typer.Option("--top", min=1, max=100, help="How many of the fullest to show.")] = 20,
    public: Annotated[
        bool, typer.Option("--public", help="What a panel may show to the customer of a domain; with --json.")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Look again every two seconds; Ctrl-C ends.")] = False,
    admin: AdminOption = ADMIN,
    json: JsonOption = False,
) -> None:
    """Show how much of each limit is used, now: a bar, used/max in a window, when one more fits again.

    Counters slide: what was sent leaves the window bit by bit. Moments are in your time zone. Of a
    subject the last window is shown, too, in 30 parts, and where each maximum comes from.

    For example:

    policyd status

    policyd status example.org --watch

    policyd status alice@example.org --json

    policyd status --would-refuse

    policyd status example.org --public --json
    """
    if public and not (json and subject):
        usage("--public is for programs, and for one domain", "write policyd status example.org --public --json")
    console = Console(highlight=False)
    if watch and (json or not console.is_terminal):
        usage("--watch needs a terminal", "leave it out")
    given: dict[str, str | int] = {"subject": subject, "would_refuse": int(would_refuse), "public": int(public)}
    query = {name: value for name, value in given.items() if value} | {"top": top}
    client = AdminClient(admin)
    if watch:
        _watch(console, client, query)
        return
    with reported():
        answer = client.get("/v1/status", **query)
    if json:
        print_json(answer)
    else:
        history, whole = bool(subject) and not would_refuse, not console.is_terminal
        console.print(screen(answer, would_refuse=would_refuse, history=history, whole=whole), crop=False)
    if answer.get("gauges", ()) is None:
        raise typer.Exit(UNREACHABLE)


def _watch(console: Console, client: AdminClient, query: dict[str, str | int]) -> None:
    """Show the status until Ctrl-C; while nobody answers, what it was and why."""
    asked = {"would_refuse": "would_refuse" in query, "history": "subject" in query and "would_refuse" not in query}
    with reported():
        shown: RenderableType = screen(client.get("/v1/status", **query), **asked)
    with suppress(KeyboardInterrupt), Live(shown, console=console, screen=True, auto_refresh=False) as live:
        while True:
            time.sleep(_EVERY)
            try:
                shown = screen(client.get("/v1/status", **query), **asked)
                live.update(shown, refresh=True)
            except DaemonError as error:
                live.update(Group(shown, Text(str(error), style="red")), refresh=True)


def screen(
    answer: dict[str, Any], *, would_refuse: bool = False, history: bool = False, whole: bool = False
) -> RenderableType:
    """Return an answer of the daemon as people look at it; ``whole``: no sentence is broken, however long."""
    gauges = answer["gauges"] or []
    outage = _outage_lines(answer["outage"]) if answer["outage"] else ()
    parts: list[RenderableType] = [Text(printable(line), "red", no_wrap=whole, overflow="ignore") for line in outage]
    if answer["gauges"] is None:
        parts.append("what is used of the limits cannot be read")
    elif gauges:
        parts.append(usage_table(gauges, would_refuse=would_refuse))
    else:
        parts.append("nothing would have been refused" if would_refuse else "nothing is used of any limit")
    if gauges and history:
        parts += ["", _history_table(gauges), ""]
    lines = (*_raised(gauges), *map(suspended_line, answer["suspended"]))
    parts += [Text(printable(line), no_wrap=whole, overflow="ignore") for line in lines]
    if answer["delayed"]:
        parts.append(f"{plural(answer['delayed'], 'answer')} waiting for a slot")
    if gauges and answer["mode"] == "observe":
        parts.append("mode: observe - nothing is refused; write mode: enforce in policyd.yaml")
    return Group(*parts)


def _outage_lines(outage: dict[str, Any]) -> list[str]:
    """Return that the store does not count, and what that means for mail."""
    answers = f"{plural(outage['answers'], 'answer')} so far"
    unpaid = f", {plural(outage['unpaid'], 'charge')} to pay back" if outage["when_down"] == "local" else ""
    meanwhile = f"{outage['when_down']}: {_MEANWHILE[outage['when_down']]}"
    return [
        f"the store does not count since {local_time(outage['since'])}: {outage['why']}",
        f"when_down: {meanwhile}; {answers}{unpaid} (README: When things break)",
    ]


def usage_table(gauges: list[dict[str, Any]], *, would_refuse: bool = False) -> Table:
    """Return gauges as rows of a table."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("subject", overflow="fold")
    table.add_column("limit", overflow="fold")
    table.add_column("", no_wrap=True, min_width=_BAR)
    table.add_column("used", justify="right", no_wrap=True)
    table.add_column("would refuse" if would_refuse else _again(gauges), no_wrap=True)
    for gauge in gauges:
        when = gauge["would_refuse"] if would_refuse else gauge["resumes"]
        used = f"{gauge['used']}/{gauge['max']} in {duration(gauge['window'])}"
        bar = _bar(gauge["used"], gauge["max"])
        table.add_row(Text(printable(gauge["subject"])), gauge["limit"], bar, used, local_time(when))
    return table


def _again(gauges: list[dict[str, Any]]) -> str:
    """Return what happens when one more fits: mail flows, a mailbox opens, or one here and the other there."""
    logins = {gauge["counts"] in LOGIN_COUNTS for gauge in gauges}
    return "again at" if len(logins) > 1 else "opens again" if True in logins else "flows again"


def _history_table(gauges: list[dict[str, Any]]) -> Table:
    """Return the last window of each counter, and where its maximum comes from."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("subject", overflow="fold")
    table.add_column("the last window", no_wrap=True)
    table.add_column("maximum from", overflow="fold")
    for gauge in gauges:
        limit, origin = gauge["limit"], gauge["origin"]
        source = origin if origin.startswith(f"limit {limit} ") else f"{limit}: {origin}"
        table.add_row(Text(printable(gauge["subject"])), Sparkline(gauge["history"]), Text(source))
    return table


class Sparkline:
    """Numbers as a line of bars, the highest as high as can be."""

    def __init__(self, parts: Sequence[int]) -> None:
        self._parts = parts

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it with what the terminal can show."""
        levels, most = _PLAIN_LEVELS if options.ascii_only else _LEVELS, max(self._parts, default=0)
        steps = len(levels) - 1
        yield Text("".join(levels[-(-part * steps // most) if most else 0] for part in self._parts))

    def __rich_measure__(self, _: Console, options: ConsoleOptions) -> Measurement:
        """Say how wide it is."""
        return Measurement(len(self._parts), len(self._parts)).with_maximum(options.max_width)


def _raised(gauges: list[dict[str, Any]]) -> list[str]:
    """Return a line for each limit that is raised for a while."""
    found = {(one["account"], one["limit"]): one for one in gauges if one["raised_until"]}
    return [
        f"{limit} of {account} is raised to {one['max']} until {local_time(one['raised_until'])}"
        for (account, limit), one in found.items()
    ]


def _bar(used: int, most: int) -> str:
    ratio = used / most if most else _FULL
    filled = min(_BAR, round(ratio * _BAR))
    colour = "red" if ratio >= _FULL else "yellow" if ratio >= _WARM else "green"
    return f"[{colour}]{'#' * filled}[/]{'.' * (_BAR - filled)}"
