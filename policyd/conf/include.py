"""Included files of domains. One that is bad keeps its last good text, at start too.

The last good text of every file is kept as a copy in the state directory, written whole and only
when the configuration that it belongs to could be used. A state directory that cannot be written
costs the copies, never the configuration.
"""

import contextlib
import itertools
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from policyd.conf.domains import DOMAINS, Domain, domains, report_second
from policyd.conf.files import beside, decoded, read_bytes
from policyd.conf.issues import At, shown
from policyd.conf.nodes import parse
from policyd.conf.plans import Rules
from policyd.conf.structures import Key, table
from policyd.conf.values import Placed, Unfit
from policyd.errors import Issue

DOMAINS_KEY = Key("domains", DOMAINS, "The domains, as below accounts.domains.", required=True)
_WILDCARD = re.compile(r"[*?\[]")

INCLUDE = table(DOMAINS_KEY, example="domains: {example.org: shared}")


@dataclass(frozen=True, slots=True)
class Copies:
    """The last good texts, in a directory below the state directory."""

    directory: Path

    def read(self, path: str) -> str | None:
        """Return the last good text of a file, None when there is none."""
        try:
            return self.of(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return None

    def of(self, path: str) -> Path:
        """Return where the copy of a file stands."""
        digest = sha256(str(Path(path).absolute()).encode("utf-8", "surrogateescape")).hexdigest()[:16]
        return self.directory / f"{digest}-{Path(path).name[-100:]}"

    def keep(self, good: dict[str, str], stale: set[str]) -> None:
        """Keep the good texts, and only those of files that are still included.

        Nothing is kept in a state directory of another user: a command that the admin runs must
        leave nothing there that the daemon cannot replace.
        """
        with contextlib.suppress(OSError):
            if self.directory.parent.stat().st_uid != os.geteuid():
                return
            self.directory.mkdir(mode=0o700, exist_ok=True)
            for path, text in good.items():
                if self.read(path) != text:
                    self._write(self.of(path), text)
            wanted = {self.of(path).name for path in [*good, *stale]}
            for copy in self.directory.iterdir():
                if copy.name not in wanted:
                    copy.unlink()

    def _write(self, target: Path, text: str) -> None:
        partial = target.with_name(f"{target.name}.new")
        partial.write_text(text, encoding="utf-8")
        partial.replace(target)


@dataclass(slots=True)
class Included:
    """The domains of all included files, and which of the files are bad.

    ``stale``: the last good text is in force; ``left_out``: there is none. ``good`` are the texts
    that could be used.
    """

    domains: dict[str, Domain] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    good: dict[str, str] = field(default_factory=dict)
    stale: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Reader:
    """How included files are read: the plans they may name, and where last good texts are."""

    config: str
    default_plan: str
    rules: Rules
    copies: Copies

    def read(self, patterns: tuple[Placed[str], ...], main: Mapping[str, Domain], at: At) -> Included:
        """Return the domains of all files that the patterns name.

        A domain of ``main``, or of a file read before, makes a file bad that names it again; where
        a last good text does, its domain is passed over, since the present texts know better.
        """
        included = Included()
        taken = dict(main)
        for path in self._paths(patterns, at):
            issues: list[Issue] = []
            text = _text(path, At(issues))
            found = self._domains(text or "", path, issues) if text is not None else {}
            for name, domain in found.items():
                if name in taken:
                    report_second(name, domain.place, taken[name].place, At(issues).key("domains").key(name))
            included.files.append(path)
            included.issues += issues
            if issues or text is None:
                included.stale.append(path)
                continue
            included.good[path] = text
            included.domains |= found
            taken |= found
        self._last_good(included, taken)
        return included

    def _last_good(self, included: Included, taken: dict[str, Domain]) -> None:
        for path in included.stale:
            issues: list[Issue] = []
            text = self.copies.read(path)
            found = self._domains(text or "", str(self.copies.of(path)), issues)
            if text is None or issues:
                included.left_out.append(path)
                continue
            fresh = {name: domain for name, domain in found.items() if name not in taken}
            included.domains |= fresh
            taken |= fresh

    def _domains(self, text: str, file: str, issues: list[Issue]) -> dict[str, Domain]:
        root = parse(text, file, issues)
        values = INCLUDE.read(root, At(issues)) if root is not None else None
        if values is None:
            return {}
        return domains(values.get(DOMAINS_KEY, ()), self.default_plan, self.rules, At(issues, "domains"))

    def _paths(self, patterns: tuple[Placed[str], ...], at: At) -> list[str]:
        """Return the files in order, each once. A name without wildcards is one that must be there."""
        found: dict[str, None] = {}
        for pattern, place in patterns:
            path = beside(self.config, pattern)
            if not _WILDCARD.search(pattern):
                found[path] = None
                continue
            names = _matching(path)
            if isinstance(names, Unfit):
                at.report(place, *names)
            else:
                found |= dict.fromkeys(names)
        return list(found)


def _text(path: str, at: At) -> str | None:
    raw = read_bytes(Path(path), path, at)
    return None if raw is None else decoded(raw, path, at)


def _matching(pattern: str) -> list[str] | Unfit:
    """Return the files that match, without hidden ones, which editors and panels leave behind."""
    fixed = Path(*itertools.takewhile(lambda part: not _WILDCARD.search(part), Path(pattern).parts))
    if fixed.is_dir() and not os.access(fixed, os.R_OK | os.X_OK):
        return Unfit(f"the directory {fixed} cannot be read", "let policyd's user read it")
    try:
        paths = sorted(fixed.glob(str(Path(pattern).relative_to(fixed))))
    except (ValueError, NotImplementedError) as error:
        return Unfit(f'"{shown(pattern)}" is no pattern of files: {error}', "write domains.d/*.yaml")
    return [str(path) for path in paths if not path.name.startswith(".")]
