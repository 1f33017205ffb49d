"""``policyd dns``: what hosted domains say in the DNS, and whether our own addresses are listed."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Annotated, NamedTuple

import typer

from policyd.address import normalise_domain
from policyd.cli.output import CONFIG, PROBLEM, ConfigOption, JsonOption, print_json, reported
from policyd.conf.load import load
from policyd.conf.schema import Config, DnsSettings
from policyd.dns import blocklist
from policyd.dns.blocklist import BlocklistReport, ListState
from policyd.dns.domain import Check, Finding, State, findings
from policyd.dns.resolver import Resolver
from policyd.errors import ConfigError, Issue
from policyd.plural import plural
from policyd.printable import printable

_AT_ONCE = 10
"""Domains that are looked at at a time."""

app = typer.Typer(help="Look up what hosted domains say in the DNS.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Look up what hosted domains say in the DNS."""


class _Found(NamedTuple):
    domains: dict[str, list[Finding]]
    lists: list[BlocklistReport]


@app.command("check")
def check(
    domain: Annotated[str, typer.Argument(help="A domain, as example.org. Without it: all, and the blocklists.")] = "",
    config: ConfigOption = CONFIG,
    json: JsonOption = False,
) -> None:
    """Look up whether mail for hosted domains comes here, and whether their mail may leave from here.

    MX: mail for the domain comes to a server of dns.mx. SPF: its record lets all addresses of
    dns.senders pass. DMARC: there is a record. Without DOMAIN only what is not ok is shown, and
    whether addresses of dns.senders stand on the lists of dns.dnsbl. No daemon is needed. Exit
    code 1 when anything is not ok.

    For example:

    policyd dns check

    policyd dns check example.org --json
    """
    with reported():
        loaded = load(config)
        found = asyncio.run(_look(_settings(loaded, config), _domains(loaded, domain), lists=not domain))
    if json:
        print_json(_json(found))
    else:
        for line in _lines(found, all_=bool(domain)):
            print(printable(line))
    fine = {ListState.WORKS}
    if any(one.state is not State.OK for row in found.domains.values() for one in row) or any(
        report.state not in fine or report.listings for report in found.lists
    ):
        raise typer.Exit(PROBLEM)


def _settings(config: Config, path: str) -> DnsSettings:
    if config.dns is None:
        cure = "write dns: {mx: [mx.example.net], senders: [192.0.2.7]}"
        raise ConfigError([Issue(path, 0, 0, "dns", "nothing says what the DNS should have", cure)])
    return config.dns


def _domains(config: Config, domain: str) -> list[str]:
    return [normalise_domain(domain) or domain] if domain else list(config.accounts.plans)


async def _look(settings: DnsSettings, domains: list[str], *, lists: bool) -> _Found:
    resolver, room = Resolver(settings.resolver), asyncio.Semaphore(_AT_ONCE)

    async def look(name: str) -> list[Finding]:
        async with room:
            return await resolver.judged(partial(findings, name, settings))

    reports = [
        await resolver.judged(partial(blocklist.report, name, settings.senders))
        for name in (settings.dnsbl if lists else ())
    ]
    return _Found(dict(zip(domains, await asyncio.gather(*map(look, domains)), strict=True)), reports)


def _json(found: _Found) -> dict[str, object]:
    domains = [{"domain": name, **one._asdict()} for name, row in found.domains.items() for one in row]
    lists = [
        {**report._asdict(), "listings": [one._asdict() for one in report.listings]} for report in found.lists
    ]  # fmt: skip
    return {"domains": domains, "lists": lists}


def _lines(found: _Found, *, all_: bool) -> Iterator[str]:
    width = max(map(len, found.domains), default=0)
    for name, row in found.domains.items():
        for one in row:
            if all_ or one.state is not State.OK:
                yield f"{name:{width}}  {one.check:5}  {one.state:7}  {one.why}"
    if all_:
        return
    counts = Counter((one.check, one.state) for row in found.domains.values() for one in row)
    for check_ in (check_ for check_ in Check if any(counted is check_ for counted, _ in counts)):
        states = (f"{counts[check_, state]} {state}" for state in State if counts[check_, state])
        yield f"{check_:5} of {plural(len(found.domains), 'domain')}: {', '.join(states)}"
    for report in found.lists:
        yield from _list_lines(report)


def _list_lines(report: BlocklistReport) -> Iterator[str]:
    if report.state is not ListState.WORKS:
        yield f"{report.name}: {_WHY[report.state]}"
        return
    for address, code, why in report.listings:
        yield f"{report.name}: {address} is listed ({code}) {why}".rstrip()
    yield f"{report.name}: {plural(len(report.listings), 'address')} listed, {len(report.free)} not"


_WHY = {
    ListState.DEAD: "dead: it does not have its own test entry 127.0.0.2; take it out of dns.dnsbl",
    ListState.BLOCKED: "it will not serve this resolver; ask it from a resolver of your own, see dns.resolver",
    ListState.LISTS_ALL: "it lists everything, even 127.0.0.1; take it out of dns.dnsbl",
    ListState.UNKNOWN: "the DNS gave no answer",
}
