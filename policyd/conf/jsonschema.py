"""The configuration as JSON Schema, for editors. It comes from the tables that the loader reads by."""

from policyd.conf.sections import ROOT
from policyd.conf.values import Json


def json_schema() -> Json:
    """Return the JSON Schema (2020-12) of policyd.yaml."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "policyd.yaml",
        "description": "The configuration of policyd, version 1.",
        **ROOT.schema(),
    }
