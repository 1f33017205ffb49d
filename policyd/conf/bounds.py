"""How many answers may be delayed, as Config has it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DelayBounds:
    """How many answers may be delayed at once, since each holds an smtpd: in all, and of one account."""

    max: int = 20
    per_account: int = 2
