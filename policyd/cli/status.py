"""``policyd status``: usage against limits, as bars."""

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from policyd.cli.client import AdminClient
from policyd.cli.output import (
    ADMIN,
    AdminOption,
    JsonOption,
    local_time,
    print_json,
    printable,
    reported,
    suspended_line,
)
from policyd.policy.decide import duration

_BAR = 10
_WARM, _FULL = 0.8, 1.0


def status(
    subject: Annotated[
        str, typer.Argument(help='A domain, a login, a client or "(unlisted)". Without it: the fullest.')
    ] = "",
    would_refuse: Annotated[
        bool, typer.Option("--would-refuse", help="Who would have been refused in the last week but for mode observe.")
    ] = False,
    top: Annotated[int, typer.Option("--top", min=1, max=100, help="How many of the fullest to show.")] = 20,
    admin: AdminOption = ADMIN,
    json: JsonOption = False,
) -> None:
    """Show how much of each limit is used, now: a bar, used/max in a window, when one more fits again.

    Counters slide: what was sent leaves the window bit by bit. Moments are in your time zone.

    For example:

    policyd status

    policyd status example.org

    policyd status alice@example.org --json

    policyd status --would-refuse
    """
    query: dict[str, str | int] = {"top": top}
    if subject:
        query["subject"] = subject
    if would_refuse:
        query["would_refuse"] = 1
    with reported():
        answer = AdminClient(admin).get("/v1/status", **query)
    if json:
        print_json(answer)
        return
    console = Console(highlight=False)
    gauges = answer["gauges"]
    if gauges:
        console.print(usage_table(gauges, would_refuse=would_refuse))
    else:
        print("nothing would have been refused" if would_refuse else "nothing is used of any limit")
    for line in (*_raised(gauges), *map(suspended_line, answer["suspended"])):
        print(printable(line))
    if gauges and answer["mode"] == "observe":
        print("mode: observe - nothing is refused; write mode: enforce in policyd.yaml")


def usage_table(gauges: list[dict[str, Any]], *, would_refuse: bool = False) -> Table:
    """Return gauges as rows of a table."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("subject", overflow="fold")
    table.add_column("limit", overflow="fold")
    table.add_column("", no_wrap=True, min_width=_BAR)
    table.add_column("used", justify="right", no_wrap=True)
    table.add_column("would refuse" if would_refuse else "flows again", no_wrap=True)
    for gauge in gauges:
        when = gauge["would_refuse"] if would_refuse else gauge["resumes"]
        used = f"{gauge['used']}/{gauge['max']} in {duration(gauge['window'])}"
        bar = _bar(gauge["used"], gauge["max"])
        table.add_row(Text(printable(gauge["subject"])), gauge["limit"], bar, used, local_time(when))
    return table


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
