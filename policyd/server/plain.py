"""Records as JSON: what json.dumps takes of them, and the JSON Schema of their types."""

import types
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, Union, get_args, get_origin, get_type_hints, is_typeddict

Schema = dict[str, Any]

_SIMPLE: Mapping[Any, Schema] = types.MappingProxyType({
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
    Any: {},
})  # fmt: skip


def plain(value: object) -> object:
    """Return what json.dumps takes: dataclasses and named tuples become objects, other tuples lists."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: plain(inner) for name, inner in value._asdict().items()}
    if isinstance(value, Mapping):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value


def schema_of(kind: Any, named: dict[str, Schema]) -> Schema:  # noqa: ANN401  # any type, or form of typing
    """Return the JSON Schema of what ``plain`` makes of a type; those of records go into ``named``, by their names."""
    if kind in _SIMPLE:
        return dict(_SIMPLE[kind])
    origin, inner = get_origin(kind), get_args(kind)
    if origin in {Union, types.UnionType}:
        return {"anyOf": [schema_of(one, named) for one in inner]}
    if origin in {list, tuple, Sequence}:
        return {"type": "array", "items": schema_of(inner[0], named)}
    if origin in {dict, Mapping}:
        return {"type": "object", "additionalProperties": schema_of(inner[1], named)}
    if kind.__name__ not in named:
        named[kind.__name__] = {}
        named[kind.__name__] = _record(kind, named)
    return {"$ref": f"#/components/schemas/{kind.__name__}"}


def _record(kind: Any, named: dict[str, Schema]) -> Schema:  # noqa: ANN401  # any record
    if not (is_dataclass(kind) or is_typeddict(kind) or hasattr(kind, "_fields")):
        raise TypeError(f"{kind} is no record")
    hints = get_type_hints(kind)
    return {
        "type": "object",
        "description": " ".join((kind.__doc__ or "").split()),
        "properties": {name: schema_of(hint, named) for name, hint in hints.items()},
        "required": sorted(hints),
        "additionalProperties": False,
    }
