"""What suspends by itself, as Config has it: strikes of a limit, and spam traps."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Strikes:
    """When refusals suspend: ``count`` episodes within ``within`` ms.

    ``sentences`` are how long the first suspension lasts, the second, ..., in ms, 0 until it is
    resumed. ``domain``: the account as a whole is suspended, not whom the limit counts for.
    """

    count: int
    within: int
    sentences: tuple[int, ...]
    domain: bool = False


@dataclass(frozen=True, slots=True)
class SpamTraps:
    """Addresses that nobody has a reason to mail, in normal form, and what mail to them does.

    ``count`` within ``within`` ms, to as many ``distinct`` ones; ``lasts`` is in ms, 0 until it is
    resumed. Not ``suspends``: it is reported only.
    """

    addresses: frozenset[str] = frozenset()
    count: int = 2
    distinct: bool = True
    within: int = 86_400_000
    lasts: int = 0
    suspends: bool = False
