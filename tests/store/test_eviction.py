"""What is said of a Redis that may forget counters, from what its INFO has."""

import hiredis
import pytest

from policyd.errors import StoreTimeout
from policyd.store.eviction import Eviction


def _info(memory: int, policy: str) -> bytes:
    return f"# Memory\r\nused_memory:1000\r\nmaxmemory:{memory}\r\nmaxmemory_policy:{policy}\r\n".encode()


@pytest.mark.parametrize(
    ("replies", "policies"),
    [
        ([_info(1000, "noeviction"), _info(0, "allkeys-lru")], []),
        ([_info(1000, "allkeys-lru"), _info(1000, "allkeys-lru")], ["allkeys-lru"]),
        ([_info(1000, "allkeys-lru"), _info(1000, "volatile-ttl")], ["allkeys-lru", "volatile-ttl"]),
        ([_info(1000, "allkeys-lru"), _info(1000, "noeviction"), _info(9, "allkeys-lru")], ["allkeys-lru"] * 2),
        ([hiredis.ReplyError("NOPERM"), StoreTimeout("memory", 0.25), b"", b"# Memory\r\nnone\r\n\xff:\r\n"], []),
    ],
    ids=["it keeps them", "once", "another policy", "mended for a while", "who may not know"],
)
def test_it_is_said_when_it_is_news(
    replies: list[object], policies: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """With the policy and where; nothing of what cannot be known."""
    eviction = Eviction("unix:///run/redis.sock")
    for reply in replies:
        eviction.heard(reply)

    said = [record.getMessage() for record in caplog.records]
    assert all("unix:///run/redis.sock" in line for line in said)
    assert [line.partition("maxmemory-policy is ")[2].partition(",")[0] for line in said] == policies
