"""``policyd reset``: empty a counter by hand."""

from typing import Annotated

import typer

from policyd.cli.client import AdminClient
from policyd.cli.output import ADMIN, AdminOption, JsonOption, print_json, reported, warn_of_a_slip
from policyd.printable import printable


def reset(
    subject: Annotated[str, typer.Argument(help="A domain, a login, a client's address or (unlisted).")],
    limit: Annotated[str, typer.Argument(help="The limit. Without it: all that count for the subject itself.")] = "",
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept with the event.")] = "",
    admin: AdminOption = ADMIN,
    json: JsonOption = False,
) -> None:
    """Forget what a subject has used of its limits, and open its locks. policyd events shows who did it.

    A domain's counters are those of the domain as a whole, a login's its own: name each.

    For example:

    policyd reset bob@example.org pop-checks

    policyd reset example.org --reason "ticket 4711"
    """
    with reported():
        answer = AdminClient(admin).post("/v1/reset", subject=subject, limit=limit, reason=reason)
    if json:
        print_json(answer)
        return
    for one in answer["reset"]:
        print(printable(f"{one['subject']}: {one['limit']} is empty again; {one['used']} of {one['max']} were used"))
    warn_of_a_slip(subject, answer, answer["reset"])
