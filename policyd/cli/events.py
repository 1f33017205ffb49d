"""``policyd events``: what was refused, and what somebody did, when and why."""

import json as jsonlib
import time
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any

import typer

from policyd.cli.client import AdminClient
from policyd.cli.output import ADMIN, AdminOption, JsonOption, print_json, reported
from policyd.printable import printable

_EVERY = 1.0
"""Seconds between two questions for what is new."""


def events(
    subject: Annotated[str, typer.Argument(help="A domain or a login. Without it: all.")] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes; Ctrl-C ends.")] = False,
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=200, help="How many of the last to show.")] = 50,
    admin: AdminOption = ADMIN,
    json: JsonOption = False,
) -> None:
    """Show what happened: refusals, suspensions, raises, resets, reloads; who did it and why.

    The last line is the newest. A refusal is shown once for each stretch of being over a limit;
    the reference is the one that the customer heard. Moments are in your time zone. With --json
    and --follow each event is a line of its own.

    For example:

    policyd events example.org

    policyd events --follow
    """
    query: dict[str, str | int] = {"subject": subject} if subject else {}
    client = AdminClient(admin)
    with reported():
        answer = client.get("/v1/events", count=count, **query)
        if json and not follow:
            print_json({"events": answer["events"]})
            return
        _show(answer["events"], json=json)
        with suppress(KeyboardInterrupt):
            while follow:
                time.sleep(_EVERY)
                answer = client.get("/v1/events", after=answer["next"], **query)
                _show(answer["events"], json=json)


def _show(found: list[dict[str, Any]], *, json: bool) -> None:
    for event in found:
        print(jsonlib.dumps(event, ensure_ascii=True) if json else _line(event), flush=True)


def _line(event: dict[str, Any]) -> str:
    at = datetime.fromisoformat(event["at"]).astimezone()
    parts = [f"{at:%Y-%m-%d %H:%M:%S}", event["event"], event["subject"], event["limit"]]
    parts += [f"by {event['who']}"] if event["who"] else []
    parts += [f"({event['why']})"] if event["why"] else []
    parts += [f"ref {event['ref']}"] if event["ref"] else []
    return printable("  ".join(part for part in parts if part))
