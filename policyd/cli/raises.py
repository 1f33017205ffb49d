"""``policyd raise``: another maximum for a while."""

from typing import Annotated

import typer

from policyd.cli.client import AdminClient
from policyd.cli.output import (
    ADMIN,
    AdminOption,
    JsonOption,
    local_time,
    moment_written,
    print_json,
    reported,
    usage,
)
from policyd.printable import printable


def raise_(
    domain: Annotated[str, typer.Argument(metavar="DOMAIN", help="A hosted domain.")],
    limit: Annotated[str, typer.Argument(metavar="LIMIT", help="The name of a limit, as domain-hourly.")],
    maximum: Annotated[str, typer.Argument(metavar="[MAX]", help="The maximum meanwhile: 800, or 2GB of bytes.")] = "",
    *,
    until: Annotated[str, typer.Option("--until", metavar="WHEN", help="6h, 3d, 2026-12-24 or 2026-12-24T18:00.")] = "",
    end: Annotated[bool, typer.Option("--end", help="End a raise before its time.")] = False,
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why, for the events.")] = "",
    admin: AdminOption = ADMIN,
    json: JsonOption = False,
) -> None:
    """Raise a limit of a domain for a while, on every daemon from the next request on.

    The raise wins over limit, plan and domain, and ends by itself. What is counted per user is
    raised for every user of the domain. policyd status and policyd config show say that it is there.

    For example:

    policyd raise example.org domain-hourly 800 --until 6h --reason "newsletter, ticket 4711"

    policyd raise example.org domain-hourly --end
    """
    if end is bool(maximum or until):
        usage("a raise has a maximum and an end", "write MAX and --until 6h, or only --end")
    if not end and not (maximum and until):
        usage("a raise has a maximum and an end", "write MAX and --until 6h")
    body: dict[str, str | int] = {"subject": domain, "limit": limit, "reason": reason}
    with reported():
        client = AdminClient(admin)
        if end:
            done = client.post("/v1/raise/end", **body)
        else:
            done = client.post("/v1/raise", **body, max=maximum, until=moment_written(until))
    if json:
        print_json(done)
    elif end:
        print(printable(f"{done['limit']} of {done['account']} is no longer raised"))
    else:
        words = f"{done['limit']} of {done['account']} is raised from {done['was']} to {done['max']}"
        print(printable(f"{words} until {local_time(done['until'])}"))
