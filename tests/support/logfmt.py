"""A slow and obvious reader of logfmt lines, which accepts nothing that it was not told of."""

import json


def parse(line: str) -> dict[str, str]:
    """Return the fields of one line, in order.

    Raises AssertionError for anything that is not ``name=value`` with single spaces between.
    """
    assert line.isascii(), line
    assert line.isprintable(), line
    fields: dict[str, str] = {}
    rest = line
    while True:
        name, equals, rest = rest.partition("=")
        assert equals, line
        assert name.replace("_", "").isalpha(), line
        assert name not in fields, line
        if rest.startswith('"'):
            value, end = json.JSONDecoder().raw_decode(rest)
            rest = rest[end:]
        else:
            value = rest.split(" ", 1)[0]
            assert not set(value) & set('"='), line
            rest = rest[len(value) :]
        fields[name] = value
        if not rest:
            return fields
        assert rest.startswith(" "), line
        rest = rest[1:]
