"""How list software is asked: the types behind the section ``mailman``."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MailmanSettings:
    """Where Mailman 3 serves REST, and as whom it is asked. ``every`` and ``timeout`` are in ms."""

    url: str
    user: str
    password_file: str
    every: int = 600_000
    timeout: int = 10_000
