"""How Postfix cuts a restriction list into words, and a check_policy_service entry into options.

    list    :== (separator* word)*                         separators: comma, blank, tab, CR, LF
    word    :== characters; separators within balanced { } belong to the word
    entry   :== endpoint | "{" endpoint ("," option)* "}"
    option  :== name "=" word | "{" name "=" text "}"

After mystrtokq(), extpar(), split_nameval() and attr_override() of Postfix's src/util and
src/global. An entry that Postfix cannot read is fatal for every smtpd that is started with it,
although ``postfix check`` and ``postconf`` say nothing: ``flaw`` has what is wrong with it.
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

SEPARATORS = ", \t\r\n"
BLANKS = " \t\r\n"

_UNITS = {"": 1_000, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_TIMES = frozenset({"timeout", "max_idle", "max_ttl", "retry_delay"})
_NUMBERS = {"try_limit": 1, "request_limit": 0}
_TEXTS = frozenset({"default_action", "policy_context"})
_TRANSPORTS = frozenset({"inet", "unix", "local"})
_TAKES_ARGUMENT = re.compile(r"(check_\w+|(reject|permit)_(rbl|rhsbl|dnswl|rhswl)_\w+|sleep|warn_if_reject)\Z")


class PolicyEntry(NamedTuple):
    """The argument of one check_policy_service. ``flaw`` is empty when Postfix can read it."""

    text: str
    endpoint: str
    options: Mapping[str, str]
    flaw: str


def split(text: str) -> list[str]:
    """Return the words of a restriction list. Never raises; braces need not be balanced."""
    words: list[str] = []
    start, level = -1, 0
    for place, char in enumerate(text):
        if start < 0:
            if char in SEPARATORS:
                continue
            start, level = place, 0
        if char == "{":
            level += 1
        elif level and char == "}":
            level -= 1
        elif not level and char in SEPARATORS:
            words.append(text[start:place])
            start = -1
    return words if start < 0 else [*words, text[start:]]


def join(words: Iterable[str]) -> str:
    """Return a restriction list of words, with a comma after each restriction and its argument."""
    text = ""
    joint = ""
    for word in words:
        text += joint + word
        joint = " " if _TAKES_ARGUMENT.match(word.lower()) else ", "
    return text


def milliseconds(text: str) -> int | None:
    """Return a Postfix time value in ms, or None. Postfix looks at the unit's first letter only."""
    found = re.match(r"(\d+)([smhdw]?)", text)
    if found is None or (not found[2] and found[0] != text):
        return None
    return int(found[1]) * _UNITS[found[2]]


def parse_entry(text: str) -> PolicyEntry:
    """Return the endpoint and the options of a check_policy_service argument. Never raises."""
    inner, flaw = unbraced(text) if text.startswith("{") else (text, "")
    words = split(inner) if text.startswith("{") else [text]
    endpoint = words[0] if words else ""
    options: dict[str, str] = {}
    last = ""
    for word in words[1:]:
        name, value, wrong = _option(word)
        flaw = flaw or wrong
        if name:
            options[name] = value
            last = name
        elif last:
            options[last] = f"{options[last]} {word}".strip()
    return PolicyEntry(text, endpoint, options, flaw or _endpoint_flaw(endpoint))


def format_entry(endpoint: str, options: Mapping[str, str]) -> str:
    """Return a check_policy_service argument; a value with separators gets braces of its own."""
    if not options:
        return endpoint
    parts = (f"{{ {name}={value} }}" if _needs_braces(value) else f"{name}={value}" for name, value in options.items())
    return f"{{ {', '.join([endpoint, *parts])} }}"


def unbraced(text: str) -> tuple[str, str]:
    """Return what stands inside the braces that text starts with, and what is wrong with them."""
    level = 0
    for place, char in enumerate(text):
        level += (char == "{") - (char == "}")
        if not level:
            rest = text[place + 1 :]
            return text[1:place].strip(BLANKS), f'"{rest}" follows the closing brace' if rest else ""
    return text[1:].strip(BLANKS), "the closing brace is missing"


def _option(word: str) -> tuple[str, str, str]:
    """Return an option's name, its value, and what is wrong with it."""
    inner, flaw = unbraced(word) if word.startswith("{") else (word, "")
    name, equals, value = inner.partition("=")
    name, value = name.strip(BLANKS), value.strip(BLANKS)
    if not equals or not name or any(blank in name for blank in BLANKS):
        return "", "", flaw or f'"{word}" is no name=value (a value with spaces needs braces of its own)'
    return name, value, flaw or _value_flaw(name, value)


def _value_flaw(name: str, value: str) -> str:
    if name in _TIMES:
        return "" if milliseconds(value) else f"{name}={value} is no time, such as 45s"
    if name in _NUMBERS:
        fits = value.isascii() and value.isdigit() and int(value) >= _NUMBERS[name]
        return "" if fits else f"{name}={value} is no number from {_NUMBERS[name]}"
    if name not in _TEXTS:
        return f"{name} is no option of check_policy_service"
    return "" if value else f"{name}= has no value"


def _endpoint_flaw(endpoint: str) -> str:
    transport, _, address = endpoint.partition(":")
    if transport in _TRANSPORTS and address:
        return ""
    return f'"{endpoint}" is neither unix:path nor inet:host:port'


def _needs_braces(value: str) -> bool:
    return any(char in SEPARATORS for char in value)
