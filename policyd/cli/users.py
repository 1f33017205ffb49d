"""The list of mailboxes: from Dovecot itself, or from a file."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

from policyd.errors import ConfigError, Issue, ToolError
from policyd.policy.idle import Mailbox
from policyd.tool import run

DOVEADM = "doveadm"
_EPOCH = date(1970, 1, 1)
_UNKNOWN, _NEVER = "-", "never"
_CURE = 'write "mailbox", "mailbox created" or "mailbox created last-login"; dates as 2026-11-23, - for unknown'
_MOST_WORDS = 3


def read_mailboxes(source: str) -> list[Mailbox]:
    """Return the mailboxes that ``doveadm user '*'`` or a file names.

    Raises ConfigError for the lines of the file that cannot be read, ToolError.
    """
    if source == DOVEADM:
        names = run(DOVEADM, "user", "*", where="Dovecot").split("\n")
        return [Mailbox(name) for name in names if name]
    try:
        lines = Path(source).read_text("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ToolError("the list of users", str(error)) from error
    issues: list[Issue] = []
    found = list(_read(source, lines, issues))
    if issues:
        raise ConfigError(issues)
    return found


def day_text(day: int | None) -> str:
    """Return a day as it is written, "never" for none."""
    return _NEVER if day is None else date.fromordinal(_EPOCH.toordinal() + day).isoformat()


def _read(source: str, lines: list[str], issues: list[Issue]) -> Iterator[Mailbox]:
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            yield _mailbox(words)
        except ValueError as error:
            issues.append(Issue(source, number, 1, "", str(error), _CURE))


def _mailbox(words: list[str]) -> Mailbox:
    if len(words) > _MOST_WORDS:
        raise ValueError(f"{len(words)} words in one line")
    name, created, last = (*words, _UNKNOWN, _UNKNOWN)[:_MOST_WORDS]
    day = None if last == _NEVER else _day(last)
    return Mailbox(name, _day(created), day, kept=last != _UNKNOWN)


def _day(word: str) -> int | None:
    if word == _UNKNOWN:
        return None
    try:
        return (date.fromisoformat(word) - _EPOCH).days
    except ValueError:
        raise ValueError(f"{word} is no date") from None
