"""Where the restriction lists of one smtpd ask policy services.

A restriction list ends at the first permit that applies, so a service that is listed after one is
not asked about the mail that the permit lets through. A class of smtpd_restriction_classes stands
for its words (RESTRICTION_CLASS_README).
"""

import posixpath
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from policyd.audit.tokens import PolicyEntry, parse_entry, split

CHECK = "check_policy_service"
RECIPIENT_LIST = "smtpd_recipient_restrictions"
END_LIST = "smtpd_end_of_data_restrictions"
DELAYED_LISTS = ("smtpd_client_restrictions", "smtpd_helo_restrictions", "smtpd_sender_restrictions")
"""Asked at every RCPT too, as long as smtpd_delay_reject=yes."""
RECIPIENT_LISTS = (*DELAYED_LISTS, "smtpd_relay_restrictions", RECIPIENT_LIST)
ALL_LISTS = (*RECIPIENT_LISTS, "smtpd_etrn_restrictions", "smtpd_data_restrictions", END_LIST)

PERMITS = frozenset({
    "permit", "permit_auth_destination", "permit_dnswl_client", "permit_inet_interfaces", "permit_mx_backup",
    "permit_mynetworks", "permit_naked_ip_address", "permit_rhswl_client", "permit_sasl_authenticated",
    "permit_tls_all_clientcerts", "permit_tls_clientcerts",
})  # fmt: skip
"""The restrictions that can end a list with OK (postconf(5))."""


class Ask(NamedTuple):
    """One place in a restriction list where a policy service is asked.

    ``after`` is the first permit that stands before it, or "". ``warned``: it follows
    warn_if_reject, so its refusals refuse nothing.
    """

    parameter: str
    entry: PolicyEntry
    after: str
    warned: bool


def asks(settings: Mapping[str, str], parameter: str) -> Iterator[Ask]:
    """Yield the policy services that a list asks, in order. ``settings`` are in force and expanded."""
    words = flat(settings, parameter)
    after, before = "", ""
    for place, word in enumerate(words):
        name = word.lower()
        if name == CHECK and before != CHECK:
            argument = words[place + 1] if place + 1 < len(words) else ""
            yield Ask(parameter, parse_entry(argument), after, before == "warn_if_reject")
        elif before != CHECK and name in PERMITS:
            after = after or word
        before = "" if before == CHECK else name


def flat(settings: Mapping[str, str], parameter: str) -> list[str]:
    """Return the words of a list, with those of a restriction class in the place of its name."""
    classes = frozenset(split(settings.get("smtpd_restriction_classes", "")))
    return list(_flat(split(settings.get(parameter, "")), settings, classes))


def recipient_lists(settings: Mapping[str, str]) -> tuple[str, ...]:
    """Return the lists that are looked at for every RCPT command."""
    if settings.get("smtpd_delay_reject", "yes") == "yes":
        return RECIPIENT_LISTS
    return tuple(name for name in RECIPIENT_LISTS if name not in DELAYED_LISTS)


def without(words: Sequence[str], entries: Collection[str]) -> list[str]:
    """Return a list's words without check_policy_service and its argument, where that is an entry of these."""
    kept: list[str] = []
    skip = False
    for place, word in enumerate(words):
        if skip:
            skip = False
        elif word.lower() == CHECK and "".join(words[place + 1 : place + 2]) in entries:
            skip = True
            if kept and kept[-1].lower() == "warn_if_reject":
                kept.pop()
        else:
            kept.append(word)
    return kept


def socket_path(endpoint: str, queue_directory: str, *, chroot: bool) -> str:
    """Return the file that a unix endpoint leads to, "" for TCP.

    smtpd works in queue_directory: a relative path starts there, and in a chroot every path does.
    """
    transport, _, path = endpoint.partition(":")
    if transport not in {"unix", "local"} or not path:
        return ""
    inside = path.lstrip("/") if chroot else path
    return posixpath.normpath(posixpath.join(queue_directory, inside))


def _flat(
    words: Sequence[str], settings: Mapping[str, str], classes: frozenset[str], above: frozenset[str] = frozenset()
) -> Iterator[str]:
    for word in words:
        if word in classes and word not in above:
            yield from _flat(split(settings.get(word, "")), settings, classes, above | {word})
        else:
            yield word
