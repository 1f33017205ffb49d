"""What somebody puts into an account's state, where the script heeds it: suspensions and raises.

The state is one small hash; its key lives as long as the longest of what stands in it.
"""

from policyd.store.redis import RedisStore

_PUT = b"""
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
"""


async def put(store: RedisStore, key: bytes, field: bytes, value: bytes, lasts: int) -> None:
    """Put a field into a hash that lives ``lasts`` ms at least. Raises StoreError."""
    await store.command("EVAL", _PUT, 1, key, field, value, lasts)
