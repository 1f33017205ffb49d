"""Writes the dashboards for Grafana into a directory: ``make dashboards``. What is committed is what this writes."""

import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from config.grafana.internals import internals
from config.grafana.mail_policy import mail_policy


def write(directory: Path) -> None:
    """Write all dashboards, one file each."""
    for made in (mail_policy().build(), internals().build()):
        text = JSONEncoder(sort_keys=True, indent=2).encode(made)
        (directory / f"{made.uid}.json").write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
