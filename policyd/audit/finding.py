"""What an audit says: one finding for one mistake, with the lines that cure it."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """ERROR: a promise of policyd does not hold. WARNING: it holds less well. NOTE: worth knowing."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    ``where`` is a port of Postfix, ``submission (587)``, or a parameter. ``write`` has the exact
    lines to write; its first is a comment that names the file.
    """

    severity: Severity
    where: str
    problem: str
    write: str


@dataclass(frozen=True, slots=True)
class Remark:
    """A finding as one port of Postfix shows it. What several ports inherit becomes one finding."""

    finding: Finding
    port: str = ""
