"""``policyd config``: check, show and compare configurations, without a daemon."""

import asyncio
import os
import sys
from dataclasses import asdict
from typing import Annotated, Any

import typer

from policyd.audit.doveconf import read_dovecot, read_served
from policyd.audit.dovecot import audit_dovecot, refused
from policyd.audit.finding import Finding, Severity
from policyd.audit.mailman import audit_mailman
from policyd.audit.postfix import audit, render
from policyd.audit.secrets import audit_secrets, unseen_secrets
from policyd.audit.view import read_postfix
from policyd.cli.client import AdminClient
from policyd.cli.output import (
    ADMIN,
    CONFIG,
    PROBLEM,
    AdminOption,
    ConfigOption,
    JsonOption,
    local_time,
    print_json,
    reported,
    suspended_line,
)
from policyd.clock import SystemClock
from policyd.conf.diff import changes
from policyd.conf.jsonschema import json_schema
from policyd.conf.load import load, read
from policyd.conf.schema import Config
from policyd.errors import DaemonError, Issue, ToolError
from policyd.over import Over
from policyd.plural import plural
from policyd.policy.lowered import Lowered, lowered
from policyd.policy.sums import sums
from policyd.printable import printable
from policyd.show import ShownDomain, domain_lines, overview_lines, show, with_standing

_AT_ONCE = 1_000
"""Lowered limits that the daemon is asked about at once."""

app = typer.Typer(help="Check, show and compare configurations; no daemon is needed.", no_args_is_help=True)


@app.command("check")
def check(  # noqa: PLR0917  # the options of a command
    file: Annotated[str, typer.Argument(metavar="FILE", help="The configuration; the same as --config FILE.")] = "",
    config: ConfigOption = CONFIG,
    postfix: Annotated[bool, typer.Option("--postfix", help="Check Postfix's main.cf and master.cf too.")] = False,
    postfix_directory: Annotated[
        str, typer.Option("--postfix-config", metavar="DIR", help="The configuration directory of another Postfix.")
    ] = "",
    dovecot: Annotated[bool, typer.Option("--dovecot", help="Check Dovecot's configuration too.")] = False,
    dovecot_file: Annotated[
        str, typer.Option("--dovecot-config", metavar="FILE", help="The configuration file of another Dovecot.")
    ] = "",
    mailman: Annotated[bool, typer.Option("--mailman", help="Read the rosters of Mailman's lists, too.")] = False,
    json: JsonOption = False,
) -> None:
    """Check the configuration, and whether Postfix (--postfix) and Dovecot (--dovecot) ask as they should.

    With --mailman the rosters of all lists are read once. Every mistake is shown at once, with its
    place and what to write instead. The exit code is 1 when there is one. What paces and maxima
    come to together is noted.

    For example:

    policyd config check

    policyd config check new.yaml --postfix --dovecot --mailman
    """
    config = file or config
    if postfix_directory:
        # What accounts.hosted asks of Postfix is of the same instance (postconf(1)).
        os.environ["MAIL_CONFIG"] = postfix_directory
    loaded, mistakes = read(config)
    secrets = audit_secrets(loaded) if loaded else []
    if loaded is None or mistakes:
        _print_mistakes(sorted([*mistakes, *secrets]), json=json)
        raise typer.Exit(PROBLEM)
    findings: list[Finding] = []
    if postfix or postfix_directory:
        with reported():
            findings += audit(loaded, read_postfix(postfix_directory or None))
    if dovecot or dovecot_file:
        findings += _audited_dovecot(loaded, dovecot_file)
    notes = [*unseen_secrets(loaded), *sums(loaded)]
    if mailman:
        audited = asyncio.run(audit_mailman(loaded))
        findings, notes = findings + audited.findings, notes + audited.notes
    issues = [str(issue) for issue in (*loaded.stale_issues, *secrets)]
    if json:
        print_json({"issues": issues, "findings": [asdict(finding) for finding in findings], "notes": notes})
    else:
        _print_check(config, loaded, issues, findings, notes)
        wanted = {"Postfix": postfix or postfix_directory, "Dovecot": dovecot or dovecot_file}
        asked = " and ".join(name for name, want in wanted.items() if want)
        if asked and all(finding.severity is Severity.NOTE for finding in findings):
            print(f"{asked}: policyd is asked as it should be")
    if issues or any(finding.severity is not Severity.NOTE for finding in findings):
        raise typer.Exit(PROBLEM)


def _print_mistakes(issues: list[Issue], *, json: bool) -> None:
    lines = [str(issue) for issue in issues]
    if json:
        print_json({"issues": lines, "findings": [], "notes": []})
    else:
        print("\n".join(lines), file=sys.stderr)


def _audited_dovecot(config: Config, file: str) -> list[Finding]:
    try:
        return audit_dovecot(read_served(config), read_dovecot(file))
    except ToolError as error:
        return [refused(error)]


def _print_check(path: str, config: Config, issues: list[str], findings: list[Finding], notes: list[str]) -> None:
    for line in issues:
        print(line, file=sys.stderr)
    if not issues:
        limits, plans = plural(len(config.limits), "limit"), plural(len(config.plans), "plan")
        domains = plural(len(config.accounts.plans), "domain")
        print(f"{path}: no mistakes; {limits} in {plans} for {domains}, mode {config.mode}")
    for line in render(findings):
        print(line)
    for note in notes:
        print(f"note: {note}")
    if not config.accounts.plans:
        print("note: no domain is hosted: name customers in accounts.domains or accounts.hosted")


@app.command("show")
def show_(
    domain: Annotated[str, typer.Argument(help="A domain, as example.org. Without it: all in short.")] = "",
    config: ConfigOption = CONFIG,
    admin: AdminOption = ADMIN,
    json: JsonOption = False,
) -> None:
    """Show what is in force for a domain, where each value comes from, and when its schedules open next.

    What is suspended or raised for a while is shown too, where the daemon can be asked.

    For example: policyd config show example.org
    """
    with reported():
        loaded = load(config)
    now = SystemClock().now()
    shown = _with_standing(show(loaded, domain, now), admin) if domain else None
    if json:
        print_json(asdict(shown) if shown else {"lines": overview_lines(loaded, now)})
        return
    for line in domain_lines(shown) if shown else overview_lines(loaded, now):
        print(line)


def _with_standing(shown: ShownDomain, admin: str) -> ShownDomain:
    try:
        answer = AdminClient(admin).get("/v1/standing", subject=shown.account)
    except DaemonError:
        return shown
    raises = {one["limit"]: printable(_raised(one)) for one in answer["raises"]}
    return with_standing(shown, [printable(suspended_line(one)) for one in answer["suspended"]], raises)


def _raised(one: dict[str, Any]) -> str:
    why = f" ({one['why']})" if one["why"] else ""
    return f"{one['max']} until {local_time(one['until'])} by {one['who']}{why}"


@app.command("schema")
def schema() -> None:
    """Print a JSON Schema of policyd.yaml, for editors.

    For example: policyd config schema > policyd.schema.json
    """
    print_json(json_schema())


@app.command("diff")
def diff(
    old: Annotated[str, typer.Argument(metavar="OLD", help="The configuration before.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The configuration after.")],
    admin: AdminOption = ADMIN,
    json: JsonOption = False,
) -> None:
    """Show what changes from one configuration to another, value by value. Exit code 1 when anything does.

    Where limits are lowered, the daemon is asked who uses more already than they will allow; without
    a daemon that is said, and the rest is shown.

    For example: policyd config diff /etc/policyd/policyd.yaml new.yaml
    """
    with reported():
        before, after = load(old), load(new)
    lines = changes(before, after)
    over: list[str] | None = None
    try:
        over = [str(one) for one in _over(AdminClient(admin), lowered(before, after))]
    except DaemonError as error:
        print(f"policyd: who is over the lowered limits is not known: {error}", file=sys.stderr)
    if json:
        print_json({"changes": lines, "over": over})
    else:
        print("\n".join([*lines, *(over or [])]) or "no difference")
    if lines:
        raise typer.Exit(PROBLEM)


def _over(client: AdminClient, limits: list[Lowered]) -> list[Over]:
    """Return who is over lowered limits; the daemon is asked only where there are any. Raises DaemonError."""
    found: list[Over] = []
    for start in range(0, len(limits), _AT_ONCE):
        answer = client.post("/v1/over", limits=limits[start : start + _AT_ONCE])
        found += [Over(**one) for one in answer["over"]]
    return found
