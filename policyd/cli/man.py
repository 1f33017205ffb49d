"""The manual pages, made from the commands and from the table of keys: python -m policyd.cli.man DIRECTORY.

A page for each command in section 8, and policyd.yaml(5).
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from policyd import __version__
from policyd.cli.main import app
from policyd.cli.output import CONFIG
from policyd.conf.jsonschema import json_schema

_ABOUT = "System administration"
_EXIT = """\
0 fine, 1 a problem was found, 2 usage, 75 the daemon or the store cannot be reached."""


def pages() -> dict[str, str]:
    """Return all pages by the names of their files."""
    root = typer.main.get_command(app)
    commands = list(_commands(root, "policyd"))
    made = {f"{_page(path)}.8": _command(path, command) for path, command in commands}
    return {**made, "policyd.8": _overview(root, commands), "policyd.yaml.5": _keys()}


def _commands(group: Any, path: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401  # typer's own copy of click
    for name, command in sorted(group.commands.items()):
        if hasattr(command, "commands"):
            yield from _commands(command, f"{path} {name}")
        elif not command.hidden:
            yield f"{path} {name}", command


def _overview(root: Any, commands: list[tuple[str, Any]]) -> str:  # noqa: ANN401
    lines = [*_head("policyd", 8, root.help), ".B policyd", "COMMAND [OPTIONS] [ARGUMENTS]", ".SH COMMANDS"]
    for path, command in commands:
        lines += [".TP", f".B {_text(path)}", f"{_text(_first(command))}; see", f".BR {_text(_page(path))} (8)."]
    lines += [*_options(root), ".SH EXIT STATUS", _EXIT, ".SH FILES", ".TP", f".I {CONFIG}", "See"]
    return _whole([*lines, ".BR policyd.yaml (5)."])


def _command(path: str, command: Any) -> str:  # noqa: ANN401
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    names = " ".join(_argument(one) for one in arguments)
    lines = [*_head(_page(path), 8, command.help), f".B {_text(path)}", f"[OPTIONS] {_text(names)}".rstrip()]
    lines += [".SH DESCRIPTION", *_prose(command.help)]
    if arguments:
        lines += [".SH ARGUMENTS"]
        for one in arguments:
            lines += [".TP", f".I {_text(_argument(one).strip('[]'))}", _text(one.help or "")]
    lines += [*_options(command), ".SH EXIT STATUS", _EXIT, ".SH SEE ALSO", ".BR policyd (8),", ".BR policyd.yaml (5)"]
    return _whole(lines)


def _options(command: Any) -> list[str]:  # noqa: ANN401
    lines = []
    for one in command.params:
        if one.param_type_name == "option" and not one.hidden:
            value = "" if one.is_flag else f" {one.metavar or one.name.upper()}"
            by_variable = f" (environment: {one.envvar})" if one.envvar else ""
            lines += [".TP", f".B {_text(', '.join(one.opts) + value)}", _text(f"{one.help or ''}{by_variable}")]
    return [".SH OPTIONS", *lines] if lines else []


def _argument(one: Any) -> str:  # noqa: ANN401
    name = one.metavar or one.name.upper()
    name = f"{name}..." if one.nargs == -1 else name
    return name if one.required else f"[{name}]"


def _keys() -> str:
    lines = [*_head("policyd.yaml", 5, "The configuration of policyd."), f".I {CONFIG}", ".SH DESCRIPTION"]
    lines += ["YAML, version 1. NAME and DOMAIN stand for names of your own.", ".SH KEYS"]
    for key, description in _described(json_schema(), ()):
        lines += [".TP", f".B {_text(key)}", _text(description)]
    return _whole([*lines, ".SH SEE ALSO", ".BR policyd (8),", ".BR policyd\\-config\\-check (8)"])


def _described(schema: Any, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:  # noqa: ANN401  # any JSON
    """Yield the keys of a schema with what they are for, as ``limits.NAME.max``; fields of a change are a limit's."""
    for name, inner in schema.get("properties", {}).items():
        if "description" in inner:
            yield ".".join((*path, name)), inner["description"]
        yield from _described(inner, (*path, name))
    more = schema.get("additionalProperties")
    if isinstance(more, dict) and path[-1] not in {"change", "over"}:
        yield from _described(more, (*path, "DOMAIN" if path[-1] == "domains" else "NAME"))
    for other in (*schema.get("oneOf", []), *schema.get("anyOf", [])):
        yield from _described(other, path)


def _head(name: str, section: int, help_: str) -> list[str]:
    title = f'.TH "{_text(name.upper())}" {section} "" "policyd {__version__}" "{_ABOUT}"'
    return [title, ".nh", ".ad l", ".SH NAME", f"{_text(name)} \\- {_text(_sentence(help_))}", ".SH SYNOPSIS"]


def _prose(help_: str) -> Iterator[str]:
    """Yield the paragraphs of a help text; those that are commands stand by themselves."""
    for paragraph in help_.split("\n\n"):
        for text in re.split(r"(?<=For example:) ", " ".join(paragraph.split())):
            if text.startswith("policyd "):
                yield from (".PP", ".nf", f".B \\ \\ {_text(text)}", ".fi")
            else:
                yield from (".PP", _text(text))


def _page(path: str) -> str:
    return path.replace(" ", "-")


def _first(command: Any) -> str:  # noqa: ANN401
    return _sentence(command.help)


def _sentence(help_: str) -> str:
    """Return the first sentence of a help text, without its full stop."""
    return re.split(r"\.(?:\s|$)", " ".join(help_.split()), maxsplit=1)[0]


def _text(text: str) -> str:
    """Return a text as roff has it: no character of it commands anything."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


def _whole(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"


def main(directory: str) -> None:
    """Write all pages into a directory."""
    for name, page in pages().items():
        (Path(directory) / name).write_text(page, "utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
