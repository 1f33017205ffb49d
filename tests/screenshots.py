"""Makes the pictures of the README from what the commands show of a daemon after an hour of mail.

make screenshots
"""

import io
import json
import os
from pathlib import Path
from random import Random
from time import tzset
from typing import Any

from rich.console import Console

from policyd.cli.status import screen
from tests.cli.conftest import Site
from tests.support.daemon import rate
from tests.support.process import configuration
from tests.support.redis import running
from tests.support.wait import until

FOLDER = Path(__file__).parent.parent / "config" / "screenshots"
MINUTE = 60_000
DOMAINS = {"example.org": 400, "example.net": 331, "shop.example.com": 120, "school.example.edu": 47, "example.info": 3}
"""How many recipients each domain mails in the hour."""

LIMITS = {"domain-hourly": rate(400), "user-hourly": rate(200, per="user", traffic=["user"])}


def mail_for_an_hour(site: Site) -> None:
    """Have the domains' users send, some more in some minutes than in others."""
    random = Random(7)
    for _ in range(60):
        for domain, count in DOMAINS.items():
            some = round(count / 60 * random.choice((0, 0.3, 1, 2.2)))
            site.send(f"{random.choice(('alice', 'bob', 'carol'))}@{domain}", some, recipient="x@remote.example")
        site.advance(MINUTE)
    site.send("bob@example.org", 60, recipient="x@remote.example")
    site.run("suspend", "carol@example.net", "--reason", "stolen password, ticket 4711")


def answer(site: Site, **query: str | int) -> dict[str, Any]:
    """Return what the daemon answers, as if its files stood where they do on a server."""
    text = json.dumps(site.ask("/v1/status", **query))
    return dict(json.loads(text.replace(str(site.base), "/etc/policyd")))


def picture(shown: dict[str, Any], command: str, *, history: bool) -> str:
    """Return what a command shows in 80 columns, as SVG."""
    console = Console(record=True, width=80, force_terminal=True, highlight=False, file=io.StringIO())
    console.print(f"$ {command}\n")
    console.print(screen(shown, history=history), crop=False)
    return console.export_svg(title="policyd", unique_id="policyd")


def main() -> None:
    """Write the pictures."""
    os.environ["TZ"] = "UTC"
    tzset()
    with running() as server:
        site = Site(configuration(server.url, list(DOMAINS), LIMITS))
        site.start()
        try:
            mail_for_an_hour(site)
            until(lambda: len(site.ask("/v1/status")["gauges"]) > len(DOMAINS), "the index knows the fullest")
            fullest = answer(site, top=12)
            domain = answer(site, subject="example.org")
        finally:
            site.remove()
    (FOLDER / "status.svg").write_text(picture(fullest, "policyd status --top 12", history=False))
    (FOLDER / "domain.svg").write_text(picture(domain, "policyd status example.org", history=True))


if __name__ == "__main__":
    main()
