"""Under which names traffic may be suspended."""

from policyd.model import Sure, Traffic, TrafficKind, Word


class SubjectKind(Word):
    """What a subject is. DOMAIN is an account as a whole."""

    DOMAIN = "domain"
    USER = "user"
    LIST = "list"
    MAILBOX = "mailbox"
    CLIENT = "client"


def suspendable(traffic: Traffic) -> tuple[str, ...]:
    """Return the names under which a kind of sending may be suspended. Relayed traffic is nobody's to suspend."""
    if traffic.sure is Sure.NOBODY or traffic.kind is TrafficKind.RELAYED:
        return ()
    mailbox = f"{SubjectKind.MAILBOX}:{traffic.user}"
    if traffic.kind is TrafficKind.LOGIN:
        return (mailbox,)
    whole, user = SubjectKind.DOMAIN.value, f"{SubjectKind.USER}:{traffic.user}"
    if traffic.kind is TrafficKind.LIST:
        return (whole, user, f"{SubjectKind.LIST}:{traffic.list}")
    if traffic.kind is TrafficKind.USER:
        return (whole, user, mailbox)
    return (whole, user)
