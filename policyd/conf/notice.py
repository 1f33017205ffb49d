"""Who is told what, and how: the types behind the section ``notify``."""

from dataclasses import dataclass

from policyd.event import EventKind

TO_CUSTOMERS = frozenset(
    {EventKind.NEAR_LIMIT, EventKind.REFUSAL, EventKind.MAILING_WAITS, EventKind.SUSPEND, EventKind.RESUME}
)
"""What an account's contact is told; the admin may want to hear of more."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where events are posted, and the file with the secret that signs them."""

    url: str
    secret_file: str

    def __str__(self) -> str:
        return self.url


@dataclass(frozen=True, slots=True)
class Mta:
    """Where the MTA takes mail."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class NotifySettings:
    """Mail goes from ``sender`` to contacts and to ``admin`` ("": nobody), through the MTA at ``smtp``.

    ``templates`` is the directory with the admin's own texts.
    """

    sender: str
    admin: str = ""
    smtp: Mta = Mta("127.0.0.1", 25)
    webhook: Webhook | None = None
    events: frozenset[EventKind] = TO_CUSTOMERS
    templates: str = "/etc/policyd/notices"
