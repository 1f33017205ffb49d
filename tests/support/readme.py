"""The blocks of the README, word for word: what an administrator pastes is what the tests start."""

import re
from pathlib import Path

_README = Path(__file__).parents[2] / "README.md"
_BLOCK = re.compile(r"^```(?P<name>[^\n]+)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(name: str) -> str:
    """Return the text of all blocks with that name behind their backticks, in order. Raises KeyError."""
    found = [match["text"] for match in _BLOCK.finditer(_README.read_text("utf-8")) if match["name"] == name]
    if not found:
        raise KeyError(f"the README has no block {name}")
    return "".join(found)
