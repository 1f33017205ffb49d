"""``policyd mailboxes``: from which mailboxes nobody fetches mail."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from policyd.cli.client import AdminClient
from policyd.cli.output import ADMIN, AdminOption, JsonOption, print_json, reported
from policyd.cli.users import DOVEADM, day_text, read_mailboxes
from policyd.conf import units
from policyd.errors import ToolError
from policyd.plural import plural
from policyd.policy.idle import Judgement, Mailbox, Seen, judge
from policyd.printable import printable
from policyd.tool import run

_AT_ONCE = 1_000
_MOST_DAYS = 365
_STRANGERS = (
    "policyd saw logins, but of none of these: are they the names by which people log in? (auth_username_format,"
    " iterate_query, accounts.default_domain)"
)
_WILDCARDS = frozenset("*?")


class Form(StrEnum):
    """What ``--as`` may be."""

    DOVEADM = "doveadm"


@dataclass(frozen=True, slots=True)
class Report:
    """What is known of all mailboxes. ``watched`` are the days of the ``days`` asked for that were watched."""

    days: int
    watched: int
    judged: list[Judgement]

    @property
    def idle(self) -> list[Judgement]:
        """The idle ones, idle for longest first."""
        found = (one for one in self.judged if one.idle)
        return sorted(found, key=lambda one: (one.since, one.mailbox))


def mailboxes(  # noqa: PLR0917  # the options of a command
    idle: Annotated[str, typer.Option("--idle", metavar="DAYS", help="For how long nobody logged in, as 40d.")],
    users: Annotated[
        str, typer.Option("--users", metavar="FILE", help="Which mailboxes there are: a file, or doveadm user '*'.")
    ] = DOVEADM,
    as_: Annotated[
        Form | None, typer.Option("--as", help="Print the commands that delete what nobody fetched.")
    ] = None,
    mail: Annotated[
        str, typer.Option("--mail", metavar="ADDRESS", help="Mail it, if any mailbox is idle, by sendmail(1).")
    ] = "",
    admin: AdminOption = ADMIN,
    json: JsonOption = False,
) -> None:
    """List the mailboxes from which nobody fetched mail, by POP3 or IMAP, for so many whole days.

    Only what is known counts: days on which policyd saw no login of anybody prove nothing, nor do
    those before a mailbox was first listed, unless the file says when it was created and when its
    last login was. policyd deletes no mail; --as doveadm prints commands that do.

    Lines of the file: mailbox, mailbox created, or mailbox created last-login; dates as
    2026-11-23, - for unknown, never for no login.

    For example:

    policyd mailboxes --idle 40d

    policyd mailboxes --idle 40d --users mailboxes.txt --as doveadm
    """
    days = _days(idle)
    with reported():
        report = _report(read_mailboxes(users), AdminClient(admin), days)
        if users == DOVEADM and report.watched and not any(one.last_login for one in report.judged):
            raise ToolError("doveadm user '*'", _STRANGERS)
        if json:
            print_json({"days": days, "watched": report.watched, "mailboxes": [_row(one) for one in report.judged]})
            return
        lines = list(_commands(report) if as_ else _lines(report))
        if not mail:
            print("\n".join(lines))
        elif report.idle:
            head = f"To: {mail}\nSubject: {_summary(report)}\nAuto-Submitted: auto-generated\n\n"
            run("sendmail", "-i", "--", mail, where="Postfix", text=head + "\n".join(lines) + "\n")


def _days(idle: str) -> int:
    duration = units.duration(idle) or 0
    days, rest = divmod(duration, units.DAY)
    if rest or not 1 <= days <= _MOST_DAYS:
        raise typer.BadParameter(f"{idle} is no number of days from 1d to {_MOST_DAYS}d", param_hint="--idle")
    return days


def _report(found: list[Mailbox], client: AdminClient, days: int) -> Report:
    judged: list[Judgement] = []
    watched = 0
    for start in range(0, max(1, len(found)), _AT_ONCE):
        part = found[start : start + _AT_ONCE]
        answer = client.post("/v1/mailboxes", mailboxes=[mailbox.name for mailbox in part])
        today, on = answer["today"], answer["watched"]
        watched = sum(today - days <= day < today for day in on)
        seen = (Seen(**one) for one in answer["seen"])
        judged += [judge(mailbox, one, on, today, days) for mailbox, one in zip(part, seen, strict=True)]
    return Report(days, watched, judged)


def _row(one: Judgement) -> dict[str, str | int | bool | None]:
    days = {"since": one.since, "last_login": one.last_login, "pop3": one.seen.pop3, "imap": one.seen.imap}
    shown = {name: day_text(day) if day is not None else None for name, day in days.items()}
    return {"mailbox": one.mailbox, "idle": one.idle, "days": one.days, **shown}


def _summary(report: Report) -> str:
    return f"{len(report.idle)} of {len(report.judged)} mailboxes idle for {plural(report.days, 'day')}"


def _lines(report: Report) -> Iterator[str]:
    if report.idle:
        console = Console(highlight=False)
        with console.capture() as captured:
            console.print(_table(report.idle))
        yield from captured.get().splitlines()
        yield ""
    yield _summary(report)
    if report.watched < report.days:
        days = f"{report.watched} of the last {plural(report.days, 'day')}"
        yield f"policyd saw logins on {days}; days without any do not count"


def _table(found: list[Judgement]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("mailbox", overflow="fold")
    table.add_column("last login", no_wrap=True)
    table.add_column("known for", no_wrap=True, justify="right")
    for one in found:
        table.add_row(Text(printable(one.mailbox)), day_text(one.last_login), plural(one.days, "day"))
    return table


def _commands(report: Report) -> Iterator[str]:
    yield f"# {_summary(report)}; with search in the place of expunge, doveadm shows what would go"
    for one in report.idle:
        name = one.mailbox
        if _WILDCARDS & set(name) or not name.isprintable():
            yield f"# left out, since doveadm would take it for others' or none: {printable(name)}"
            continue
        yield f"# {name}: last login {day_text(one.last_login)}"
        yield f"doveadm expunge -u {shlex.quote(name)} mailbox INBOX savedbefore {report.days}d"
