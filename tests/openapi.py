"""Writes the description of the admin socket, as a running daemon gives it.

make openapi
"""

import json
import sys
from pathlib import Path
from typing import Any

from tests.support.daemon import LocalDaemon, rate
from tests.support.process import configuration
from tests.support.redis import running


def document(daemon: LocalDaemon) -> str:
    """Return the document of a daemon as it is committed."""
    found: dict[str, Any] = daemon.ask("/v1/openapi.json")
    return json.dumps(found, indent=2) + "\n"


def main(file: Path) -> None:
    """Start a daemon and write its document."""
    with running() as redis:
        daemon = LocalDaemon(configuration(redis.url, ["example.org"], {"domain-hourly": rate(400)}))
        daemon.start()
        try:
            file.write_text(document(daemon), "utf-8")
        finally:
            daemon.remove()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
