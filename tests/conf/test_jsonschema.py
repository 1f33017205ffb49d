"""The JSON Schema for editors says what the loader says."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from policyd.conf.jsonschema import json_schema
from policyd.conf.sections import ROOT
from tests.support.configs import config_text
from tests.support.yaml_json import as_json

SHIPPED = sorted((Path(__file__).parents[2] / "config").glob("*.yaml"))
BAD = Path(__file__).parent / "bad"


def errors(text: str) -> list[str]:
    """Return what the schema has against a file."""
    return [error.message for error in Draft202012Validator(json_schema()).iter_errors(as_json(text))]


def test_it_is_a_json_schema() -> None:
    """Of the draft that it names."""
    Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.name)
def test_the_shipped_files_fit(file: Path) -> None:
    """An editor underlines nothing in them."""
    assert errors(file.read_text("utf-8")) == []


@pytest.mark.parametrize(
    "name",
    [
        "unknown-key",
        "unknown-limit-key",
        "missing-keys",
        "missing-limit-keys",
        "map-where-list",
        "text-where-list",
        "list-where-value",
        "yaml-no",
        "yaml-time-as-number",
        "size-words",
        "limit-words",
        "limit-name",
        "domain-names",
        "hosted-source",
        "units",
        "version-two",
        "store-url",
    ],
)
def test_what_needs_no_other_part_of_the_file_is_found_by_the_schema_too(name: str) -> None:
    """An editor underlines it while it is typed."""
    assert errors((BAD / f"{name}.yaml").read_text("utf-8")) != []


@pytest.mark.parametrize(
    ("accounts", "sections"),
    [
        ("domains: {a.example: , b.example: shared, c.example: {plan: shared, without: []}}", {}),
        ("default_domain: null, local_users: ", {}),
        ("", {"limits": "{a: {kind: rate, max: unlimited, window: 1h, over: {user: reject}, lifted_by: null}}"}),
        ("", {"limits": "{a: {kind: rate, counts: bytes, max: 5MB, window: 1h, over: defer}}"}),
        ("", {"schedules": "{s: {timezone: UTC, open: [], dates: {2026-12-25: open, 2026-12-26: [01:00-02:00]}}}"}),
        ("", {"listen": '{postfix: ["unix:/p"], postfix_mode: "0660", metrics: null}'}),
    ],
)
def test_what_the_loader_takes_fits(accounts: str, sections: dict[str, str]) -> None:
    """Both forms of a value where there are two."""
    assert errors(config_text(accounts, **sections)) == []


def described(schema: object) -> Iterator[dict[str, object]]:
    """Yield every schema that stands at a key."""
    if isinstance(schema, dict):
        properties = schema.get("properties")
        yield from properties.values() if isinstance(properties, dict) else ()
        for part in schema.values():
            yield from described(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from described(part)


def test_every_key_is_described() -> None:
    """An editor shows what a key is for, but for the traffic below ``over``."""
    texts = [key.get("description") for key in described(json_schema()) if "enum" not in key]

    assert len(texts) > 40
    assert None not in texts
    assert [key.name for key in ROOT.keys] == list(json_schema()["properties"])  # type: ignore[call-overload]
