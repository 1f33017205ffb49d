"""The admin socket is what its OpenAPI document says, whatever a panel asks."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from jsonschema import Draft202012Validator
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.cli.conftest import LIMITS, Site
from tests.openapi import document
from tests.support.process import configuration
from tests.support.redis import running
from tests.support.unixsession import unix_session

FILE = Path(__file__).parent.parent.parent / "config" / "openapi.json"
API = schemathesis.openapi.from_dict(json.loads(FILE.read_text("utf-8")))

SENSE = positive_data_acceptance
"""The check that is left out: a moment of the past has the right form, and is refused all the same."""


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Run a daemon where somebody has sent, was refused and is suspended."""
    with running() as redis:
        site = Site(configuration(redis.url, ["example.org"], LIMITS))
        site.start()
        try:
            site.send("bob@example.org", 3)
            site.run("suspend", "carol@example.org", "--reason", "stolen password")
            yield site
        finally:
            site.remove()


@pytest.fixture(scope="module")
def session(site: Site) -> Iterator[requests.Session]:
    """Return what asks the daemon."""
    with unix_session(str(site.admin)) as session:
        yield session


def test_the_committed_document(site: Site) -> None:
    """config/openapi.json is what the daemon gives (make openapi writes it)."""
    assert FILE.read_text("utf-8") == document(site)


def test_every_answer_has_a_schema(site: Site) -> None:
    """The schemas are valid, and each answer but the document's own says which fields it has."""
    found = site.ask("/v1/openapi.json")

    for schema in found["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    loose = [
        path
        for path, operations in found["paths"].items()
        for operation in operations.values()
        if "additionalProperties" in operation["responses"]["200"]["content"]["application/json"]["schema"]
    ]
    assert loose == ["/v1/openapi.json"]


@API.parametrize()
@settings(max_examples=25, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
def test_the_daemon_does_what_the_document_says(case: schemathesis.Case[Any], session: requests.Session) -> None:
    """No question makes an error of ours, and every answer has a status, a type and fields that are documented."""
    case.call_and_validate("http://localhost", session, excluded_checks=[SENSE])
