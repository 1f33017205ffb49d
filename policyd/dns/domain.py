"""What a hosted domain says in the DNS, held against what it should say. Pure."""

from enum import StrEnum
from typing import NamedTuple

from policyd.conf.schema import DnsSettings
from policyd.dns import spf
from policyd.dns.answers import Answers, Kind, Status

_NO_ANSWER = "the DNS gave no answer"
_FEWEST_LABELS = 2


class Check(StrEnum):
    """What is looked at."""

    MX = "mx"
    SPF = "spf"
    DMARC = "dmarc"


class State(StrEnum):
    """What was found. UNKNOWN: nothing can be said, since the DNS gave no answer."""

    OK = "ok"
    WRONG = "wrong"
    MISSING = "missing"
    UNKNOWN = "unknown"


class Finding(NamedTuple):
    """One check of one domain: what was found, and in words why, with what to do."""

    check: Check
    state: State
    why: str


def findings(domain: str, settings: DnsSettings, answers: Answers) -> list[Finding]:
    """Return what was found of a domain: of its MX and SPF where the settings name our servers, and of DMARC."""
    found = [_mx(domain, settings, answers)] if settings.mx else []
    found += [_spf(domain, settings, answers)] if settings.senders else []
    return [*found, _dmarc(domain, answers)]


def _mx(domain: str, settings: DnsSettings, answers: Answers) -> Finding:
    answer = answers.ask(domain, Kind.MX)
    if answer.status is Status.FAILED:
        return Finding(Check.MX, State.UNKNOWN, _NO_ANSWER)
    if answer.status is Status.NO_NAME:
        return Finding(Check.MX, State.MISSING, "the domain does not exist")
    if not answer.values:
        return _address(domain, settings, answers)
    return _hosts(_best(answer.values), settings, answers)


def _hosts(hosts: list[str], settings: DnsSettings, answers: Answers) -> Finding:
    """Return what is found of the hosts that get the mail; the root, an empty name, is a null MX (RFC 7505)."""
    if hosts == [""]:
        return Finding(Check.MX, State.MISSING, "it says that it takes no mail (a null MX)")
    here = [_is_ours(host, settings, answers) for host in hosts]
    if False in here:
        away = ", ".join(host for host, ours in zip(hosts, here, strict=True) if ours is False)
        return Finding(Check.MX, State.WRONG, f"mail goes to {away}")
    if None in here:
        return Finding(Check.MX, State.UNKNOWN, _NO_ANSWER)
    return Finding(Check.MX, State.OK, f"mail goes to {', '.join(hosts)}")


def _address(domain: str, settings: DnsSettings, answers: Answers) -> Finding:
    """Return what is found of a domain without an MX: its address takes the mail (RFC 5321, 5.1)."""
    addresses = answers.addresses(domain)
    if addresses == ():
        return Finding(Check.MX, State.MISSING, "it has no MX and no address")
    ours = _is_ours(domain, settings, answers)
    if addresses is None or ours is None:
        return Finding(Check.MX, State.UNKNOWN, _NO_ANSWER)
    state = State.OK if ours else State.WRONG
    return Finding(Check.MX, state, f"it has no MX, and mail goes to {', '.join(addresses)}")


def _best(values: tuple[str, ...]) -> list[str]:
    """Return the hosts with the lowest preference, which get the mail."""
    pairs = sorted((int(preference), host) for preference, _, host in (value.partition(" ") for value in values))
    return [host for preference, host in pairs if preference == pairs[0][0]]


def _is_ours(host: str, settings: DnsSettings, answers: Answers) -> bool | None:
    """Return whether a host is one of our servers, by its name or by all of its addresses; None when unknown."""
    if host in settings.mx:
        return True
    theirs = answers.addresses(host)
    known = [answers.addresses(name) for name in settings.mx]
    ours = {address for addresses in known for address in addresses or ()}
    if theirs is None:
        return None
    if theirs and ours.issuperset(theirs):
        return True
    return None if None in known else False


def _spf(domain: str, settings: DnsSettings, answers: Answers) -> Finding:
    results = {network: spf.check(domain, network, answers) for network in settings.senders}
    said = set(results.values())
    if said == {spf.Result.PASS}:
        return Finding(Check.SPF, State.OK, "all sending addresses pass")
    if spf.Result.NONE in said:
        return Finding(Check.SPF, State.MISSING, f"it has no SPF record (publish v=spf1 {_wanted(settings)} ~all)")
    if spf.Result.PERMERROR in said:
        return Finding(Check.SPF, State.WRONG, "its SPF record has a mistake: permerror (RFC 7208)")
    refused = [network for network, result in results.items() if result not in {spf.Result.PASS, spf.Result.UNKNOWN}]
    if not refused:
        return Finding(Check.SPF, State.UNKNOWN, f"{_NO_ANSWER}, or its SPF record has macros")
    names = ", ".join(f"{_name(network)} ({results[network]})" for network in refused)
    return Finding(Check.SPF, State.WRONG, f"its SPF record does not let {names} pass (add {_wanted(settings)})")


def _wanted(settings: DnsSettings) -> str:
    """Return the terms that a customer's record should have."""
    if settings.spf:
        return f"include:{settings.spf}"
    return " ".join(f"ip{network.version}:{_name(network)}" for network in settings.senders)


def _name(network: object) -> str:
    return str(network).removesuffix("/32").removesuffix("/128")


def _dmarc(domain: str, answers: Answers) -> Finding:
    """Return what is found of DMARC at the domain, or else above it, where a subdomain's policy is."""
    labels = domain.split(".")
    for start in range(max(1, len(labels) - _FEWEST_LABELS + 1)):
        name = f"_dmarc.{'.'.join(labels[start:])}"
        answer = answers.ask(name, Kind.TXT)
        if answer.status is Status.FAILED:
            return Finding(Check.DMARC, State.UNKNOWN, _NO_ANSWER)
        records = [text for text in answer.values if text.split(";")[0].replace(" ", "").lower() == "v=dmarc1"]
        if len(records) > 1:
            return Finding(Check.DMARC, State.WRONG, f"{name} has {len(records)} DMARC records")
        if records:
            return Finding(Check.DMARC, State.OK, f"{name}: {records[0]}")
    return Finding(Check.DMARC, State.MISSING, "it has no DMARC record (publish v=DMARC1; p=none at _dmarc)")
