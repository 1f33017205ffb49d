"""The conventions of the code, held by a machine."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "policyd"
FILES = sorted(PACKAGE.rglob("*.py"))

ROOMS = [
    {"errors", "model", "event", "address", "pattern", "clock", "tool", "secret", "plural", "printable", "__init__"},
    {"wire"},
    {"conf"},
    {"policy"},
    {"store"},
    {"settlement", "suspension", "suspendedfile", "striker", "raises", "owner", "delay"},
    {"status", "listing", "over", "history", "public", "explain", "story", "show"},
    {"posts", "service", "logins", "replay"},
    {"metrics", "fullest", "log"},
    {"verdicts", "recorder", "login_recorder", "outlook", "outage"},
    {"server"},
    {"audit", "mailqueue", "dns", "notices", "mailman"},
    {"reload", "watch", "dnswatch", "rosterwatch", "upkeep"},
    {"admin"},
    {"app", "endpoints", "http_listeners", "running"},
    {"cli", "__main__"},
]
"""The rooms from low to high; a module imports from its own room and from lower ones."""

LONGEST_FILE, LONGEST_FUNCTION = 300, 60


def module(file: Path) -> str:
    """Return the dotted name of a file of the package."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 2 else parts)


def imported(file: Path) -> Iterator[str]:
    """Yield the modules of the package that a file imports, those under TYPE_CHECKING and in functions too."""
    known = {module(other) for other in FILES}
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("policyd"):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in known else str(node.module)


def room(name: str) -> int:
    """Return the height of a module's room."""
    first = name.split(".")[1] if "." in name else "__init__"
    return next(height for height, names in enumerate(ROOMS) if first in names)


GRAPH = {module(file): set(imported(file)) for file in FILES}


@pytest.mark.parametrize("name", sorted(GRAPH))
def test_a_module_imports_only_from_its_own_room_and_lower_ones(name: str) -> None:
    """Imports point in one direction."""
    higher = {other for other in GRAPH[name] if room(other) > room(name)}

    assert higher == set()


def test_no_modules_import_each_other_in_a_circle() -> None:
    """The import graph has no cycles, imports under TYPE_CHECKING counted."""
    left = {name: others & GRAPH.keys() for name, others in GRAPH.items()}
    while free := [name for name, others in left.items() if not others & left.keys() - {name}]:
        for name in free:
            del left[name]

    assert left == {}


@pytest.mark.parametrize("file", FILES, ids=module)
def test_a_file_stays_short(file: Path) -> None:
    """A file has at most 300 lines and a function at most 60."""
    source = file.read_text("utf-8")
    nodes = ast.walk(ast.parse(source))
    functions = (node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    long = [node.name for node in functions if (node.end_lineno or 0) - node.lineno >= LONGEST_FUNCTION]

    assert long == []
    assert len(source.splitlines()) <= LONGEST_FILE


@pytest.mark.parametrize("file", sorted((PACKAGE / "store" / "lua").glob("*.lua")), ids=lambda file: file.name)
def test_the_script_never_searches_the_key_space(file: Path) -> None:
    """No KEYS and no SCAN on the hot path."""
    source = file.read_text("ascii").upper()

    assert "'KEYS'" not in source
    assert "SCAN'" not in source
