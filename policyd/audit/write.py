"""The lines that an admin writes: for which file, and which parameter has to change."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from policyd.audit.lists import CHECK, Ask, flat, without
from policyd.audit.tokens import join, split
from policyd.audit.view import PostfixView, Service

MAIN = "# main.cf"
POLICYD = "# policyd.yaml"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a parameter of one smtpd is set: in main.cf, or by an ``-o`` of its own.

    ``where`` names it in a finding; ``words`` is its present value.
    """

    service: Service | None
    name: str
    words: tuple[str, ...]

    @property
    def where(self) -> str:
        """The port when the value is the port's own, else the parameter."""
        return self.service.label if self.service else self.name

    def line(self, words: Sequence[str]) -> str:
        """Return the lines that give the parameter a new value."""
        value = join(words)
        if self.service is None:
            return f"{MAIN}\n{self.name} = {value}".rstrip()
        return override(self.service, {self.name: value})


def override(service: Service, settings: Mapping[str, str]) -> str:
    """Return the lines that set parameters for one service of master.cf."""
    lines = [f"# master.cf, below {service.name} {service.type}"]
    for name, value in settings.items():
        lines.append(f"  -o {{ {name} = {value} }}" if " " in value else f"  -o {name}={value}")
    return "\n".join(lines)


def list_place(view: PostfixView, service: Service, parameter: str) -> Place:
    """Return where a port's restriction list is set."""
    if parameter in service.written:
        return Place(service, parameter, tuple(split(service.written[parameter])))
    return Place(None, parameter, tuple(split(view.written.get(parameter, ""))))


def entry_place(view: PostfixView, service: Service, ask: Ask) -> Place:
    """Return where the entry itself stands: in the list, or in a parameter that the list names."""
    place = list_place(view, service, ask.parameter)
    if _holds(place.words, ask):
        return place
    for owner, written in ((service, service.written), (None, view.written)):
        for name, value in written.items():
            words = tuple(split(value))
            if _holds(words, ask):
                return Place(owner, name, words)
    return Place(place.service, place.name, tuple(split(service.settings.get(ask.parameter, ""))))


def replaced(place: Place, ask: Ask, entry: str) -> str:
    """Return the lines that put another entry in the place of one."""
    return place.line([entry if word == ask.entry.text else word for word in place.words])


def removed(view: PostfixView, service: Service, parameter: str, asked: Sequence[Ask]) -> tuple[Place, list[str]]:
    """Return where a list is set, and its words without these entries.

    They are the words as written when that is enough, else those that $parameters and classes
    stand for.
    """
    place = list_place(view, service, parameter)
    entries = {ask.entry.text for ask in asked}
    whole = flat(service.settings, parameter)
    removable = len(whole) - len(without(whole, entries))
    words: Sequence[str]
    for words in (place.words, split(service.settings.get(parameter, ""))):
        left = without(words, entries)
        if len(words) - len(left) == removable:
            return place, left
    return place, without(whole, entries)


def _holds(words: Sequence[str], ask: Ask) -> bool:
    return ask.entry.text in words and CHECK in (word.lower() for word in words)
