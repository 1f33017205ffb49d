"""Patterns of envelope senders, which find the name of the list in them.

    pattern = local ["@" domain]
    local   = text in which "{list}" stands once, and "*" any number of times on one side of it
    "{list}"  the name of the list, as short as possible, without + and =
    "*"       any text, also none

A match looks at each character of a sender once for each piece of text: there is nothing to go back to,
whatever a stranger writes into MAIL FROM.
"""

from dataclasses import dataclass

from policyd.address import Address, normalise_domain
from policyd.errors import PatternError

LIST, ANY = "{list}", "*"


@dataclass(frozen=True, slots=True)
class SenderPattern:
    """One pattern, as it is matched from its side without a ``*``: ``mirrored`` is from right to left.

    ``before`` stands before the name of the list; ``pieces`` follow it, each with a ``*`` after it, and
    ``end`` ends the text.
    """

    text: str
    before: str
    pieces: tuple[str, ...]
    end: str
    mirrored: bool = False
    domain: str = ""

    def __str__(self) -> str:
        return self.text

    def list_name(self, sender: Address) -> str:
        """Return the name of the list in a sender, whose local part has its extension still; "" for no match."""
        if self.domain and sender.domain != self.domain:
            return ""
        local = sender.local[::-1] if self.mirrored else sender.local
        if not (local.startswith(self.before) and local.endswith(self.end)):
            return ""
        start, stop = len(self.before), len(local) - len(self.end)
        after, place = stop, start + 1
        for piece in self.pieces:
            at = local.find(piece, place, stop)
            if at < 0:
                return ""
            after, place = min(after, at), at + len(piece)
        name = local[start:after]
        if "+" in name or "=" in name:
            return ""
        return name[::-1] if self.mirrored else name


def sender_pattern(text: str) -> SenderPattern:
    """Return the pattern that a text is. Raises PatternError."""
    local, at, written = text.lower().partition("@")
    domain = normalise_domain(written) if at else ""
    if text.split() != [text]:
        raise PatternError("has a space", "write it as one word")
    if at and not domain:
        raise PatternError("does not end with a domain name", "write the domain, or leave it out together with the @")
    if local.count(LIST) != 1:
        problem = f"names {LIST} twice" if LIST in local else "does not say where the name of the list stands"
        raise PatternError(problem, f'write {LIST} once: "{LIST}-bounces+*"')
    before, after = local.split(LIST)
    if ANY in before and ANY in after:
        raise PatternError(f"has * on both sides of {LIST}", "leave one of them out")
    mirrored = ANY in before
    if mirrored:
        before, after = after[::-1], before[::-1]
    *pieces, end = after.split(ANY)
    if not all(pieces):
        raise PatternError("has two wildcards side by side", f'put text between them: "{LIST}-bounces+*"')
    if not (domain or before or pieces or end):
        raise PatternError("takes every sender for a list's", f'add what its senders share: "{LIST}-bounces"')
    return SenderPattern(text, before, tuple(pieces), end, mirrored, domain)
