"""``policyd explain``: why a login is let in or refused, without charging it."""

import sys
from typing import Annotated

import typer
from rich.console import Console

from policyd.cli.client import AdminClient
from policyd.cli.output import ADMIN, USAGE, AdminOption, JsonOption, print_json, printable, reported
from policyd.cli.status import usage_table
from policyd.conf.issues import did_you_mean
from policyd.model import MailProtocol


def explain(
    login: Annotated[str, typer.Option("--login", metavar="ADDRESS", help="The mailbox that is logged in to.")],
    protocol: Annotated[
        str, typer.Option("--protocol", metavar="NAME", help="pop3, imap, smtp, submission or sieve.")
    ] = MailProtocol.POP3.value,
    client: Annotated[str, typer.Option("--client", metavar="IP", help="The address that the login comes from.")] = "",
    admin: AdminOption = ADMIN,
    json: JsonOption = False,
) -> None:
    """Show what a login with the right password would hear now, and which limits look at it. Charges nothing.

    Limits per client and of failed logins are looked at when --client names one.

    For example:

    policyd explain --login bob@example.org --protocol pop3

    policyd explain --login bob@example.org --protocol imap --client 192.0.2.7 --json
    """
    if protocol not in list(MailProtocol):
        print(f"policyd: {protocol!r} is no protocol ({did_you_mean(protocol, MailProtocol)})", file=sys.stderr)
        raise typer.Exit(USAGE)
    with reported():
        answer = AdminClient(admin).get("/v1/explain/login", login=login, protocol=protocol, client=client)
    if json:
        print_json(answer)
        return
    said = "is let in" if answer["action"] == "accept" else "is refused"
    whose = f"account {answer['account']}, plan {answer['plan']}"
    print(printable(f"{answer['mailbox']} ({whose}): a login by {protocol} {said}{_because(answer['why'])}"))
    if answer["known"]:
        print(f"{client} is known: somebody logged in from there lately, so its failures refuse nobody")
    if answer["gauges"]:
        Console(highlight=False).print(usage_table(answer["gauges"]))


def _because(why: str) -> str:
    return f"; {why}" if why else ""
