"""Texts that a stranger may have chosen, for people to read."""


def printable(text: str) -> str:
    """Return a text in one line, with nothing in it that commands a terminal."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
