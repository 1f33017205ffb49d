"""Numbers of things, in words."""


def plural(count: int, noun: str, form: str = "") -> str:
    """Return a count and its noun: ``1 limit``, ``2 addresses``. ``form`` is the count's: "," for 1,000."""
    if count != 1:
        noun += "es" if noun.endswith(("s", "x")) else "s"
    return f"{count:{form}} {noun}"
