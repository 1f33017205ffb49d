"""How an address becomes a name to count by: what leads to one mailbox is one text.

Domains are lower-case A-labels (IDNA 2008 with the UTS 46 mapping) without a trailing dot. Local
parts are lower-case, without quotes and without the ``+extension``: RFC 5321 §2.4 calls them case
sensitive, but no mailbox here is told from another by case, and a limit that a capital letter
renews is no limit.
"""

import re
from functools import lru_cache
from typing import NamedTuple

import idna

_PLAIN = re.compile(r"[a-z0-9._-]+@[a-z0-9_-]+(?:\.[a-z0-9_-]+)+")
_PLAIN_DOMAIN = re.compile(r"(?=.{1,253}\Z)(?!-)[a-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9_-]{1,63}(?<!-))*\Z")


class Address(NamedTuple):
    """A normalised address. ``domain`` is empty when there is none, or none that could be hosted."""

    local: str
    domain: str

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}" if self.domain else self.local


@lru_cache(maxsize=16_384)
def normalise_domain(text: str) -> str:
    """Return the A-label form of a domain, or "" when it is no valid domain name."""
    name = text.lower().removesuffix(".")
    if _PLAIN_DOMAIN.match(name) and "xn--" not in name:
        return name
    return _idna_domain(name)


def _idna_domain(name: str) -> str:
    try:
        label = idna.encode(name, uts46=True).decode("ascii").lower().removesuffix(".")
    except (idna.IDNAError, UnicodeError):
        return ""
    return label if _PLAIN_DOMAIN.match(label) else ""


def normalise(text: str, delimiter: str = "+") -> Address:
    """Split and normalise an address as Postfix sends it: unquoted, case preserved.

    A text without "@" has no domain. An address whose domain is invalid keeps all of its text as
    the local part, so that two different ones never become one.
    """
    local, at, domain = text.rpartition("@")
    if not at:
        return Address(normalise_local(text, delimiter), "")
    name = normalise_domain(domain)
    if not name:
        return Address(text.lower(), "")
    return Address(normalise_local(local, delimiter), name)


def normal_form(text: str, delimiter: str = "+") -> str:
    """Return ``str(normalise(text, delimiter))``, at once for an address that is written so already."""
    if _PLAIN.fullmatch(text) and "xn--" not in text and not (delimiter and delimiter in text):
        return text
    return str(normalise(text, delimiter))


def normalise_local(local: str, delimiter: str = "+") -> str:
    """Return a local part in lower case, without RFC 5321 quotes and without its extension."""
    if len(local) > 1 and local[0] == '"' and local[-1] == '"':
        local = re.sub(r"\\(.)", r"\1", local[1:-1], flags=re.DOTALL)
    if delimiter and delimiter in local[1:]:
        local = local[: local.index(delimiter, 1)]
    return local.lower()
