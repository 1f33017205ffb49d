"""Whom limits look at that count distinct recipients: a sender who is known, and is no registered list. Pure."""

from collections.abc import Container

from policyd.model import Sure, Traffic, TrafficKind


def passed_by(traffic: Traffic, registered: Container[str]) -> str:
    """Return why such a limit does not look at traffic, "" where it does.

    ``registered`` are the posting addresses that the configuration names. What the list software sends
    itself is a registered list's; who sends for a list by his own login, or as a Unix user, has to name it.
    """
    if traffic.sure is not Sure.VERIFIED:
        return "looks at verified senders only"
    if traffic.kind is TrafficKind.LIST and (traffic.user == traffic.list or traffic.list in registered):
        return "looks at no registered list"
    return ""
