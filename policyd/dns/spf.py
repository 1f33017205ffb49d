"""What an SPF record (RFC 7208) says of an address, or of all addresses of a network. Pure.

Macros are not expanded, and ``ptr`` is not followed: what depends on them is UNKNOWN.
"""

import re
from collections.abc import Callable
from enum import StrEnum
from ipaddress import ip_network

from policyd.conf.schema import Network
from policyd.dns.answers import Answers, Kind, Status

MOST_LOOKUPS = 10
"""Terms of one evaluation that ask the DNS (RFC 7208, 4.6.4)."""

_MOST_MX = 10
_TERM = re.compile(
    r"(?P<sign>[-+?~]?)(?P<name>[a-z0-9]+)(?::(?P<value>[^/\s]\S*?))?(?P<cidr>(?:/[0-9]{1,3})?(?://[0-9]{1,3})?)\Z",
    re.IGNORECASE | re.ASCII,
)
_MODIFIER = re.compile(r"(?P<name>[a-z][a-z0-9._-]*)=(?P<value>\S*)\Z", re.IGNORECASE | re.ASCII)


class Result(StrEnum):
    """What a record says, in the words of RFC 7208. UNKNOWN: that cannot be told from here."""

    PASS = "pass"  # noqa: S105  # no password
    FAIL = "fail"
    SOFTFAIL = "softfail"
    NEUTRAL = "neutral"
    NONE = "none"
    PERMERROR = "permerror"
    UNKNOWN = "unknown"


_SIGNS = {"": Result.PASS, "+": Result.PASS, "-": Result.FAIL, "~": Result.SOFTFAIL, "?": Result.NEUTRAL}


class _EndedError(Exception):
    """Raised where an evaluation ends at once, with its result."""

    def __init__(self, result: Result) -> None:
        self.result = result
        super().__init__(result.value)


def check(domain: str, network: Network, answers: Answers) -> Result:
    """Return what the SPF record of a domain says of all addresses of a network."""
    try:
        return _Evaluation(network, answers).result(domain)
    except _EndedError as ended:
        return ended.result


class _Evaluation:
    """One evaluation, with its lookups counted over all records that it comes to."""

    def __init__(self, network: Network, answers: Answers) -> None:
        self._network, self._answers, self._lookups = network, answers, 0
        self._mechanisms: dict[str, Callable[[str, str, str], bool]] = {
            "all": lambda _domain, _value, _cidr: True,
            "ip4": self._ip,
            "ip6": self._ip,
            "a": self._a,
            "mx": self._mx,
            "include": self._include,
            "exists": self._cannot_be_told,
            "ptr": self._cannot_be_told,
        }

    def result(self, domain: str) -> Result:
        """Return the result of a domain's record. Raises _EndedError."""
        terms = self._terms(domain)
        if terms is None:
            return Result.NONE
        modifiers, mechanisms = [], []
        for term in terms:
            modifier, mechanism = _MODIFIER.match(term), _TERM.match(term)
            if modifier:
                modifiers.append((modifier["name"].lower(), modifier["value"]))
            elif mechanism is None or mechanism["name"].lower() not in self._mechanisms:
                raise _EndedError(Result.PERMERROR)
            else:
                mechanisms.append(mechanism)
        names = [name for name, _ in modifiers]
        if max(names.count("redirect"), names.count("exp")) > 1:
            raise _EndedError(Result.PERMERROR)
        for one in mechanisms:
            if self._mechanisms[one["name"].lower()](domain, one["value"] or "", one["cidr"]):
                return _SIGNS[one["sign"]]
        if "redirect" not in names:
            return Result.NEUTRAL
        self._count()
        result = self.result(_target(dict(modifiers)["redirect"]))
        return Result.PERMERROR if result is Result.NONE else result

    def _terms(self, domain: str) -> list[str] | None:
        """Return the terms of a domain's one record, None where it has none."""
        answer = self._answers.ask(domain, Kind.TXT)
        if answer.status is Status.FAILED:
            raise _EndedError(Result.UNKNOWN)
        records = [text.split() for text in answer.values if text.lower().split(" ")[0] == "v=spf1"]
        if len(records) > 1:
            raise _EndedError(Result.PERMERROR)
        return records[0][1:] if records else None

    def _ip(self, _domain: str, value: str, cidr: str) -> bool:
        try:
            written = ip_network(value + cidr, strict=False)
        except ValueError as error:
            raise _EndedError(Result.PERMERROR) from error
        return self._inside(written)

    def _a(self, domain: str, value: str, cidr: str) -> bool:
        self._count()
        return self._at(_target(value) if value else domain, cidr)

    def _mx(self, domain: str, value: str, cidr: str) -> bool:
        self._count()
        answer = self._answers.ask(_target(value) if value else domain, Kind.MX)
        if answer.status is Status.FAILED:
            raise _EndedError(Result.UNKNOWN)
        if len(answer.values) > _MOST_MX:
            raise _EndedError(Result.PERMERROR)
        return any([self._at(text.split()[1], cidr) for text in answer.values])  # noqa: C419  # all at once are asked

    def _include(self, _domain: str, value: str, _cidr: str) -> bool:
        self._count()
        result = self.result(_target(value))
        if result is Result.NONE:
            raise _EndedError(Result.PERMERROR)
        return result is Result.PASS

    def _cannot_be_told(self, _domain: str, _value: str, _cidr: str) -> bool:
        self._count()
        raise _EndedError(Result.UNKNOWN)

    def _at(self, host: str, cidr: str) -> bool:
        """Return whether the network is inside those around the addresses of a host."""
        addresses = self._answers.addresses(host)
        if addresses is None:
            raise _EndedError(Result.UNKNOWN)
        short, _, long = cidr.partition("//")
        lengths = {False: short.removeprefix("/") or "32", True: long or "128"}
        try:
            return any(self._inside(ip_network(f"{one}/{lengths[':' in one]}", strict=False)) for one in addresses)
        except ValueError as error:
            raise _EndedError(Result.PERMERROR) from error

    def _inside(self, other: Network) -> bool:
        if self._network.version == 4 and other.version == 4:  # noqa: PLR2004  # networks of one family compare
            return self._network.subnet_of(other)
        if self._network.version == 6 and other.version == 6:  # noqa: PLR2004
            return self._network.subnet_of(other)
        return False

    def _count(self) -> None:
        self._lookups += 1
        if self._lookups > MOST_LOOKUPS:
            raise _EndedError(Result.PERMERROR)


def _target(written: str) -> str:
    """Return the name that a term leads to."""
    if "%" in written:
        raise _EndedError(Result.UNKNOWN)
    if not written:
        raise _EndedError(Result.PERMERROR)
    return written.lower().removesuffix(".")
