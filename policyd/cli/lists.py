"""``policyd lists``: how large lists are, who says so, and whether they may mail now."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from policyd.cli.client import AdminClient
from policyd.cli.output import ADMIN, AdminOption, JsonOption, local_time, print_json, reported
from policyd.printable import printable

_SAYS = {"roster": "by its roster", "config": "by lists.known", "mailings": "by its mailings"}


def lists(
    subject: Annotated[str, typer.Argument(metavar="[DOMAIN]", help="A domain, or one list. Without it: all.")] = "",
    admin: AdminOption = ADMIN,
    json: JsonOption = False,
) -> None:
    """Show lists: their size and who says so, family, plan, hours and pace, and whether they may mail now.

    A list is known by Mailman's roster, by lists.known, or since it has mailed. Hours are in the zone
    of their schedule.

    For example:

    policyd lists

    policyd lists example.org

    policyd lists news@example.org --json
    """
    with reported():
        answer = AdminClient(admin).get("/v1/lists", **({"subject": subject} if subject else {}))
    if json:
        print_json(answer)
        return
    if not answer["lists"]:
        print("\n".join(map(printable, _nothing(subject))))
    elif subject:
        print("\n\n".join("\n".join(map(printable, _lines(one))) for one in answer["lists"]))
    else:
        Console(highlight=False).print(_table(answer["lists"]), crop=False)
    for line in _remarks(answer):
        print(printable(line))


def _nothing(subject: str) -> Iterator[str]:
    yield f"{subject or 'this host'} has no list that policyd knows:"
    yield "no roster has one (mailman:), nor lists.known, and none with a limit of its size has mailed lately"


def _remarks(answer: dict[str, Any]) -> Iterator[str]:
    roster = answer["roster"]
    if answer["more"]:
        yield f"and {answer['more']} more: name a domain"
    if roster["failing"]:
        since = f"those of {local_time(roster['read'])} stand" if roster["read"] else "none was read yet"
        yield f"The rosters cannot be read; {since}:"
        yield f"  {roster['failing']}"


def _table(found: list[dict[str, Any]]) -> Table:
    """Return a line for each list."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("list", overflow="fold")
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("plan", overflow="fold")
    table.add_column("now", overflow="fold")
    for one in found:
        sizes = one["sizes"]
        size = f"{sizes[0]['size']} {_SAYS[sizes[0]['source']]}" if sizes else "-"
        table.add_row(Text(printable(one["list"])), size, one["plan"], Text(_now(one)))
    return table


def _lines(one: dict[str, Any]) -> Iterator[str]:
    """Yield all that is known of a list."""
    sizes = [f"{size['size']} {_SAYS[size['source']]}" for size in one["sizes"]]
    rows = [("size", ", ".join(sizes) or "not known: no mailing has shown it"), ("plan", one["plan"])]
    for limit in one["limits"]:
        family = f" of its family {limit['subject']}" if limit["subject"] != one["list"] else ""
        rows.append((limit["limit"], f"{limit['used']} of {limit['max']}{family}: {limit['now']}"))
        if limit["lifted_by"]:
            rows += [("", f"{limit['lifted_by']} lifts it {text}") for text in _hours(limit)]
    rows += [("pace", one["pace"])] if one["pace"] else []
    rows += [("people", f"get in by {one['subscription']}")] if one["subscription"] else []
    width = max(len(label) for label, _ in rows)
    yield one["list"]
    yield from (f"  {label:{width}}  {text}" for label, text in [*rows, ("now", _now(one))])


def _hours(limit: dict[str, Any]) -> Iterator[str]:
    """Yield when a limit is lifted, now or next."""
    if limit["now"] != "lifted":
        yield f"from {_day(limit['lifted_from'])} on" if limit["lifted_from"] else "never"
    if limit["lifted_until"]:
        yield f"until {_day(limit['lifted_until'])}"


def _day(moment: str) -> str:
    return f"{datetime.fromisoformat(moment):%a %Y-%m-%d %H:%M %z}"


def _now(one: dict[str, Any]) -> str:
    """Return the verdict on a post of now."""
    if one["suspended"]:
        return "is suspended"
    waits = next((limit for limit in one["limits"] if limit["now"] == "waits"), None)
    if waits is None:
        return "flows"
    until = f" until {_day(waits['lifted_from'])}" if waits["lifted_from"] else ""
    return f"waits{until}: {waits['limit']}, {waits['used']} of {waits['max']}"
