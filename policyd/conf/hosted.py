"""The sources of hosted domains and of local users: map files, and what Postfix has.

    file:PATH            lines of ``domain`` or ``domain plan``; # begins a comment
    postfix:PARAMETER    a main.cf parameter that lists domains, files and type:name tables

Files are named from the directory of the configuration file. A server may have 50,000 domains in
one file, so that the loops here do little for each line.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from policyd.address import normalise_domain
from policyd.conf import postfix
from policyd.conf.domains import DOMAIN_CURE, full_domain
from policyd.conf.files import beside, read_text
from policyd.conf.issues import At, Place, did_you_mean, either, shown
from policyd.conf.plans import Rules
from policyd.conf.values import Placed, Unfit
from policyd.plural import plural

_REPORTED_LINES = 10


@dataclass(slots=True)
class Hosted:
    """Domains with the plan that a map file names ("" for none), where each is from, and the files read."""

    plans: dict[str, str] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)

    def add(self, domain: str, plan: str, origin: str) -> bool:
        """Add a domain; False when it has another plan already."""
        known = self.plans.get(domain)
        if known is None:
            self.origins[domain] = origin
        if known and plan and known != plan:
            return False
        if plan or known is None:
            self.plans[domain] = plan
        return True


def source(written: str) -> tuple[str, str] | Unfit:
    """Return scheme and name of a source of hosted domains."""
    scheme, colon, name = written.partition(":")
    if scheme in {"file", "postfix"} and colon and name:
        return scheme, name
    cure = f"write file:{written}" if written.startswith(("/", "./")) else "write file:/path or postfix:PARAMETER"
    return Unfit(f'"{shown(written)}" is no source of domains', cure)


def file_source(written: str) -> tuple[str, str] | Unfit:
    """Return scheme and name of a source that can only be a file."""
    scheme, _, name = written.partition(":")
    if scheme == "file" and name:
        return scheme, name
    cure = f"write file:{written}" if written.startswith(("/", "./")) else "write file:/path"
    return Unfit(f'"{shown(written)}" is no source of users', cure)


def hosted(config: str, sources: tuple[Placed[tuple[str, str]], ...], rules: Rules, at: At) -> Hosted:
    """Return the domains of all sources. The configuration's path is what files are named from."""
    found = Hosted()
    for (scheme, name), place in sources:
        if scheme == "file":
            _map_file(beside(config, name), place, found, rules, at)
        else:
            _parameter(config, name, place, found, at)
    return found


def local_users(config: str, users: Placed[tuple[str, str]], files: list[str], at: At) -> dict[str, str]:
    """Return the domain of each Unix user in a file of ``user domain`` lines, in lower case as logins are counted."""
    path = beside(config, users.value[1])
    lines = _Lines(path, users.place, at, files)
    found: dict[str, str] = {}
    for number, words in lines.words():
        domain = normalise_domain(words[1]) if len(words) > 1 else ""
        if len(words) != 2 or not domain:  # noqa: PLR2004 -- a user and a domain
            lines.report(number, words[0], "is no line of user and domain", "write a Unix user, a space and a domain")
        elif found.setdefault(words[0].lower(), domain) != domain:
            lines.report(
                number,
                words[1],
                f"the user {shown(words[0])} has the domain {found[words[0].lower()]} already",
                "remove one of the two lines",
            )
    return found


def _map_file(path: str, place: Place, found: Hosted, rules: Rules, at: At) -> None:
    lines = _Lines(path, place, at, found.files)
    origin = f"file:{path}"
    plans = rules.plans
    for number, words in lines.words():
        domain = full_domain(words[0].removesuffix(":") if len(words) > 1 else words[0])
        plan = words[1] if len(words) > 1 else ""
        if not domain:
            lines.report(number, words[0], f'"{shown(words[0])}" is no domain name', DOMAIN_CURE)
        elif len(words) > 2 or (plan and plans is not None and plan not in plans):  # noqa: PLR2004 -- domain and plan
            lines.report(number, plan, f"no plan is named {shown(' '.join(words[1:]))}", _plan_cure(plan, rules))
        elif not found.add(domain, plan, origin):
            lines.report(
                number, plan, f"{domain} is on the plan {found.plans[domain]} already", "remove one of the two lines"
            )


def _plan_cure(plan: str, rules: Rules) -> str:
    near = did_you_mean(plan, rules.plans or {})
    return either(near, "write the domain alone; a Postfix map is named with postfix:PARAMETER")


def _parameter(config: str, name: str, place: Place, found: Hosted, at: At) -> None:
    value = postfix.parameter(name)
    if isinstance(value, Unfit):
        at.report(place, *value)
        return
    for item in value.replace(",", " ").split():
        names = _item_names(config, item, place, found, at)
        if isinstance(names, Unfit):
            at.report(place, f"{name} has {shown(item)}: {names.problem}", names.cure)
            return
        for domain in filter(None, map(full_domain, names)):
            found.add(domain, "", f"postfix:{name}")


def _item_names(config: str, item: str, place: Place, found: Hosted, at: At) -> list[str] | Unfit:
    """Return the names that one item of a Postfix list stands for (postconf(5), mydestination)."""
    if item.startswith("/"):
        return [words[0] for _, words in _Lines(beside(config, item), place, at, found.files).words()]
    if item.startswith(("!", "{")):
        return Unfit(
            "policyd does not know what that leaves",
            "write the domains to a file, one a line, and name it with file:/path",
        )
    if ":" not in item:
        return [item]
    found.files += [file for file in [item.partition(":")[2]] if file.startswith("/")]
    return postfix.table_keys(item)


@dataclass(slots=True)
class _Lines:
    """The lines of a map file.

    After some mistakes the rest is only counted: a file of another format is one, not 50,000.
    """

    path: str
    named_at: Place
    at: At
    files: list[str]
    _text: str = ""
    _mistakes: int = 0
    _first_unreported: int = 0

    def words(self) -> Iterator[tuple[int, list[str]]]:
        """Yield line number and words of each line that has any."""
        self.files.append(self.path)
        self._text = read_text(Path(self.path), self.path, self.at, self.named_at) or ""
        for number, line in enumerate(self._text.split("\n"), 1):
            words = line.partition("#")[0].split() if "#" in line else line.split()
            if words:
                yield number, words
        more = self._mistakes - _REPORTED_LINES
        if more > 0:
            place = Place(self.path, self._first_unreported, 1)
            self.at.report(place, f"{plural(more, 'more line')} like these", "correct them likewise")

    def report(self, number: int, word: str, problem: str, cure: str) -> None:
        """Report a line, at one of its words."""
        self._mistakes += 1
        if self._mistakes <= _REPORTED_LINES:
            line = self._text.split("\n")[number - 1]
            self.at.report(Place(self.path, number, line.rfind(word) + 1), problem, cure)
        elif not self._first_unreported:
            self._first_unreported = number
