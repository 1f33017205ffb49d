"""Key names, format 1, and what stands under them.

    policyd:1:{<account>}:<type>:<limit>:<subject>     a counter; type is ring, log, pace or distinct
    policyd:1:{<account>}:set:<subject>                what is kept of a list, for all limits of its size
    policyd:1:{<account>}:set:<subject>:<generation>:<shard>   members of it; of type distinct likewise
    policyd:1:{<account>}:message:<host>:<instance>    a message record
    policyd:1:{<account>}:episode:<limit>:<subject>    the ref of an episode, and when it ends unless it goes on
    policyd:1:{<account>}:events                       the last 200 events of the account, newest first
    policyd:1:{<account>}:absent                       declared in a cluster, and never written (call.lua)
    policyd:1:{<account>}:state                        suspensions, raises and locks: one small hash
    policyd:1:{<domain>}:login:<what>:<mailbox>        when a mailbox was logged in to; what is pop3, imap or listed
    policyd:1:{<domain>}:dns:<check>                   what was found of the domain in the DNS
    policyd:1:index:...                                written off the answer's path; never decides

All keys of one decision share the hash tag, so they stand on one slot of a cluster. Names are
bytes: what Postfix sent undecodable stays distinct. Every key has an expiry, set by the command
that writes it.
"""

from functools import lru_cache
from hashlib import sha256

PREFIX = b"policyd:1:"
MAX_SUBJECT = 128
_DIGEST = b"sha256="


@lru_cache(maxsize=16_384)
def tag(account: str) -> bytes:
    """Return the start of all keys of an account, ``policyd:1:{account}:``."""
    name = _bytes(account)
    if b"{" in name or b"}" in name or len(name) > MAX_SUBJECT * 2:
        name = _digest(name)
    return b"%s{%s}:" % (PREFIX, name)


def counter(tagged: bytes, type_: str, limit: str, subject: str) -> bytes:
    """Return the key of a counter. A subject over 128 bytes is replaced by its hash."""
    return b"%s%s:%s:%s" % (tagged, type_.encode(), limit.encode(), short(subject))


def seen(tagged: bytes, subject: str) -> bytes:
    """Return the key of what is kept of a list, or of a family."""
    return b"%s%s:%s" % (tagged, b"set", short(subject))


def message(tagged: bytes, host: str, instance: str) -> bytes:
    """Return the key of a message record. ``instance`` is unique for each host only."""
    return b"%smessage:%s" % (tagged, short(f"{host}:{instance}"))


def state(tagged: bytes) -> bytes:
    """Return the key of what stands of an account: a hash of suspensions, raises and locks."""
    return tagged + b"state"


def absent(tagged: bytes) -> bytes:
    """Return the key that never exists."""
    return tagged + b"absent"


def suspension(name: str) -> bytes:
    """Return the field of a suspension."""
    return b"suspended:" + short(name)


def raised(limit: str) -> bytes:
    """Return the field of a limit's temporary raise."""
    return b"raise:" + limit.encode()


def lock(limit: str, subject: str) -> bytes:
    """Return the field of a subject's lock under a limit."""
    return b"lock:%s:%s" % (limit.encode(), short(subject))


def login(mailbox: str, what: str) -> bytes:
    """Return the key of what is remembered of a mailbox's logins, on the slot of its domain."""
    return b"%slogin:%s:%s" % (tag(mailbox.rpartition("@")[2]), what.encode(), short(mailbox))


def dns(domain: str, check: str) -> bytes:
    """Return the key of what a check found of a domain in the DNS."""
    return b"%sdns:%s" % (tag(domain), check.encode())


def events(tagged: bytes) -> bytes:
    """Return the key of an account's event list."""
    return tagged + b"events"


def short(text: str) -> bytes:
    """Return a text as key bytes, its hash when it is over 128 bytes."""
    raw = _bytes(text)
    return _digest(raw) if len(raw) > MAX_SUBJECT or raw.startswith(_DIGEST) else raw


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _digest(raw: bytes) -> bytes:
    return _DIGEST + sha256(raw).hexdigest().encode()
