"""What suspends by itself, as it is read."""

from pathlib import Path

from policyd.conf.load import load
from policyd.conf.penalty import SpamTraps, Strikes
from policyd.conf.rendering import fields
from tests.support.readme import blocks

HOUR = 3_600_000

TEXT = """
version: 1
listen: {postfix: ["unix:/run/policyd/policy"]}
accounts: {delimiter: "+"}
plans: {default: {apply: [user-hourly]}}
"""


def test_the_readme_example_is_read_as_it_says(tmp_path: Path) -> None:
    """Three strikes within a day: six hours, a day, until resumed; traps report."""
    path = tmp_path / "policyd.yaml"
    path.write_text(TEXT + blocks("yaml strikes"))
    config = load(path)

    limit = config.limits["user-hourly"]
    assert limit.strikes == Strikes(3, 24 * HOUR, (6 * HOUR, 24 * HOUR, 0))
    assert fields(limit)["strikes"] == "3 within 1d suspend: 6h, then 1d, then until-resumed"
    assert config.spam_traps == SpamTraps(frozenset({"old-friend@example.org", "sales@example.net"}))


def test_traps_are_one_address_in_every_spelling(tmp_path: Path) -> None:
    """As recipients are."""
    path = tmp_path / "policyd.yaml"
    limits, _, _ = blocks("yaml strikes").partition("spam_traps")
    path.write_text(f"{TEXT}{limits}spam_traps: {{addresses: [Old+x@Example.ORG], then: suspend}}\n")
    assert load(path).spam_traps == SpamTraps(frozenset({"old@example.org"}), suspends=True)
