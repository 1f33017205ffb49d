"""``policyd explain``: why mail or a login is refused, without charging it."""

from typing import Annotated

import typer
from rich.console import Console

from policyd.cli.client import AdminClient
from policyd.cli.explained import print_mail, print_story
from policyd.cli.output import ADMIN, AdminOption, JsonOption, print_json, reported, usage, warn_of_a_slip
from policyd.cli.query import attributes_of
from policyd.cli.status import usage_table
from policyd.conf.issues import did_you_mean
from policyd.model import MailProtocol
from policyd.printable import printable

_REF_LETTERS = str.maketrans("OIL", "011")
"""What people read for what stands there: Crockford base32 has no O, I and L."""


def explain(  # noqa: PLR0917  # as many options as there are questions
    attributes: Annotated[
        list[str] | None, typer.Argument(metavar="NAME=VALUE", help="Attributes of a mail, as Postfix sends them.")
    ] = None,
    ref: Annotated[str, typer.Option("--ref", metavar="REF", help="The reference that a refusal named.")] = "",
    sender: Annotated[str, typer.Option("--from", metavar="ADDRESS", help="The envelope sender of a mail.")] = "",
    recipient: Annotated[str, typer.Option("--to", metavar="ADDRESS", help="Its recipient.")] = "",
    login: Annotated[
        str, typer.Option("--login", metavar="ADDRESS", help="Its login; alone, the mailbox that is logged in to.")
    ] = "",
    client: Annotated[
        str, typer.Option("--client", metavar="IP", help="Where it comes from; mail without it from this host.")
    ] = "",
    user: Annotated[str, typer.Option("--user", metavar="NAME", help="The Unix user who sends it.")] = "",
    protocol: Annotated[
        str,
        typer.Option(
            "--protocol", metavar="NAME", help="Of a login: pop3 (the default), imap, smtp, submission, sieve."
        ),
    ] = "",
    admin: AdminOption = ADMIN,
    json: JsonOption = False,
) -> None:
    """Show why mail was refused, or what a mail or a login would hear now. Charges nothing.

    A reference is kept for 30 days. A mail is judged as a real one: who is charged, by which rule,
    and how full each limit is that looks at it. recipient_count=50 asks about 50 recipients at once.

    For example:

    policyd explain --ref 7KQ2M0XW9A

    policyd explain --login alice@example.org --to bob@example.net

    policyd explain sender=www@example.org recipient=bob@example.net client_address=127.0.0.1

    policyd explain --login bob@example.org --protocol pop3
    """
    mail = {"sender": sender, "recipient": recipient, "unix_user": user}
    if ref:
        _explain_ref(AdminClient(admin), ref, json=json)
    elif attributes or any(mail.values()):
        mail |= {"sasl_username": login, "client_address": client, "sender": sender or login}
        written = {name: value for name, value in mail.items() if value} | attributes_of(attributes or [])
        _explain_mail(AdminClient(admin), written, json=json)
    elif login:
        _explain_login(AdminClient(admin), login, protocol or MailProtocol.POP3, client, json=json)
    else:
        usage("nothing is asked", "write --ref, --login, or a mail as --from alice@example.org --to bob@example.net")


def _explain_ref(daemon: AdminClient, ref: str, *, json: bool) -> None:
    written = ref.strip().upper().translate(_REF_LETTERS)
    if not (written.isascii() and written.isalnum()):
        usage(f"{ref!r} is no reference", "write the 10 letters and digits after ref, as 7KQ2M0XW9A")
    with reported():
        answer = daemon.get(f"/v1/explain/ref/{written}")
    if json:
        print_json(answer)
    else:
        print_story(answer)


def _explain_mail(daemon: AdminClient, mail: dict[str, str], *, json: bool) -> None:
    with reported():
        answer = daemon.get("/v1/explain/mail", **mail)
    if json:
        print_json(answer)
    else:
        print_mail(answer)


def _explain_login(daemon: AdminClient, login: str, protocol: str, client: str, *, json: bool) -> None:
    if protocol not in list(MailProtocol):
        usage(f"{protocol!r} is no protocol", did_you_mean(protocol, MailProtocol))
    with reported():
        answer = daemon.get("/v1/explain/login", login=login, protocol=protocol, client=client)
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
    warn_of_a_slip(login, answer, answer["gauges"])


def _because(why: str) -> str:
    return f"; {why}" if why else ""
