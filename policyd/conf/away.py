"""What is answered while the store is away, as Config has it."""

from policyd.model import Word


class WhenDown(Word):
    """What ``store.when_down`` may say. LOCAL counts in memory, and defers what is not counted there."""

    ACCEPT = "accept"
    DEFER = "defer"
    LOCAL = "local"
