"""The OpenAPI document of the admin socket, built from the routes themselves: what they take and what they return."""

import inspect
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, get_type_hints

from policyd.server.admin import READ_GROUP, WRITE_GROUP, Route
from policyd.server.plain import Schema, schema_of
from policyd.server.taken import Taken

_ABOUT = f"""HTTP and JSON over a unix socket: `listen.admin`, /run/policyd/admin.sock as shipped.
Who may what is decided by who the kernel says is asking: root and policyd's own user may all, members of
{READ_GROUP} may GET, members of {WRITE_GROUP} may do the rest too.
Nothing is charged by any of it. An error is {{"error": "..."}}, one line for people.
Names that are not documented are refused; fields may be added to answers."""

_ERRORS = {
    HTTPStatus.BAD_REQUEST: "What is asked makes no sense; the text says what to write instead.",
    HTTPStatus.FORBIDDEN: "Who asks is not in the group that may do this.",
    HTTPStatus.NOT_FOUND: "Nobody and nothing here has that name.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is larger than a mebibyte.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "An error in policyd; its log says more.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The store does not answer.",
}


def openapi(routes: Sequence[Route], version: str) -> Schema:
    """Return the document of ``routes``."""
    named: dict[str, Schema] = {}
    paths: dict[str, Schema] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, named)
    named["Error"] = schema_of(dict[str, str], named) | {"required": ["error"]}
    return {
        "openapi": "3.1.0",
        "info": {"title": "policyd", "version": version, "description": _ABOUT},
        "servers": [{"url": "http://localhost", "description": "through the unix socket; the host's name is ignored"}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": dict(sorted(named.items())),
            "responses": {status.phrase.replace(" ", ""): _error(why) for status, why in _ERRORS.items()},
        },
    }


def _operation(route: Route, named: dict[str, Schema]) -> Schema:
    about = inspect.getdoc(route.answer) or ""
    summary, _, more = about.partition("\n\n")
    found: dict[str, Any] = {
        "operationId": "_".join(part for part in route.path.split("/")[2:] if "{" not in part),
        "summary": " ".join(summary.split()),
    }
    if more:
        found["description"] = " ".join(more.split())
    parameters = [_parameter(one, "path") for one in route.parts] + [_parameter(one, "query") for one in route.query]
    if parameters:
        found["parameters"] = parameters
    if route.body:
        content = {"application/json": {"schema": _body(route.body)}}
        found["requestBody"] = {"required": any(one.needed for one in route.body), "content": content}
    answer = {"application/json": {"schema": schema_of(get_type_hints(route.answer)["return"], named)}}
    refs = {str(int(status)): _ref(status) for status in _ERRORS}
    found["responses"] = {"200": {"description": "The answer.", "content": answer}, **refs}
    return found


def _parameter(one: Taken, place: str) -> Schema:
    needed = place == "path" or one.needed
    return {"name": one.name, "in": place, "required": needed, "description": one.about, "schema": one.schema}


def _body(takes: Sequence[Taken]) -> Schema:
    return {
        "type": "object",
        "properties": {one.name: {**one.schema, "description": one.about} for one in takes},
        "required": [one.name for one in takes if one.needed],
        "additionalProperties": False,
    }


def _ref(status: HTTPStatus) -> Schema:
    return {"$ref": f"#/components/responses/{status.phrase.replace(' ', '')}"}


def _error(why: str) -> Schema:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {"description": why, "content": content}
