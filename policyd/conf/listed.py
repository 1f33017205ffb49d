"""How list software and its lists are known: the types behind the section ``lists``."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from policyd.model import Action
from policyd.pattern import SenderPattern


@dataclass(frozen=True, slots=True)
class KnownList:
    """A list whose envelope sender does not show it. ``size`` None: the configuration does not say."""

    posting: str
    size: int | None = None
    family: str = ""


@dataclass(frozen=True, slots=True)
class Lists:
    """How list software is known: by ``contexts`` (policy_contexts or ports) and Unix ``users`` of its own.

    ``patterns`` and ``known`` are of envelope senders, beside those that are built in. A mailing has more than
    ``mailing_over`` recipients; ``seen_slack`` is the grace, in percent, of a size that only mailings have shown.
    ``outside_hours`` is what becomes of a post whose mailing would wait for its hours: ACCEPT, DEFER or REJECT.
    List software gives up what it could not mail within ``gives_up_after`` ms.
    """

    contexts: frozenset[str] = frozenset()
    users: frozenset[str] = frozenset()
    patterns: tuple[SenderPattern, ...] = ()
    known: Mapping[str, KnownList] = field(default_factory=dict)
    mailing_over: int = 20
    seen_slack: int = 10
    outside_hours: Action = Action.ACCEPT
    gives_up_after: int = 5 * 86_400_000
