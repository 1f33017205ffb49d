"""Whether Mailman says how many members its lists have, and what to write where it does not."""

from typing import NamedTuple

from policyd.audit.finding import Finding, Severity
from policyd.audit.write import POLICYD
from policyd.conf.mailman import MAILMAN
from policyd.conf.schema import Config
from policyd.errors import RosterError
from policyd.mailman.rest import read_roster
from policyd.plural import plural


class Audited(NamedTuple):
    """What is wrong, and what Mailman said where nothing is."""

    findings: list[Finding]
    notes: list[str]


async def audit_mailman(config: Config) -> Audited:
    """Read all rosters once; the notes name the lists that let people in without confirmation."""
    if config.mailman is None:
        cure = f"{POLICYD}\nmailman: {MAILMAN.example}"
        return Audited([Finding(Severity.ERROR, "mailman", "no Mailman is named, so no roster is read", cure)], [])
    try:
        roster = await read_roster(config.mailman)
    except RosterError as error:
        return Audited([Finding(Severity.ERROR, "mailman", f"{error.where}: {error.why}", f"# {error.cure}")], [])
    notes = [f"Mailman says how large its lists are: {plural(len(roster), 'list')}"]
    for posting, one in sorted(roster.items()):
        if one.subscription is not None and not one.subscription.confirms:
            word = f"subscription_policy {one.subscription}"
            notes.append(f"{posting} lets people in without confirmation ({word} in Mailman; confirm is double opt-in)")
    return Audited([], notes)
