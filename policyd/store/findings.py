"""What was last found in the DNS, so that a change is told once, by whichever daemon sees it first.

    policyd:1:{<domain>}:dns:<check>            ok, wrong or missing
    policyd:1:index:dnsbl:<list>                how the list answers
    policyd:1:index:dnsbl:<list>:<address>      whether it has one of our addresses

Each step raises StoreError.
"""

from policyd.store import keys
from policyd.store.redis import RedisStore

_KEPT = 40 * 86_400_000
"""How long a finding is remembered, in ms: longer than the watch may sleep."""


class LastFindings:
    """Reads and replaces what was found last, in one step."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    async def of_domain(self, domain: str, check: str, state: str) -> str:
        """Remember what a check found of a domain; return what was found before, "" when nothing was."""
        return await self._swap(keys.dns(domain, check), state)

    async def of_list(self, name: str, state: str, address: str = "") -> str:
        """Remember how a blocklist answers, or what it says of an address; return what it was before."""
        key = keys.PREFIX + b"index:dnsbl:" + keys.short(f"{name}:{address}" if address else name)
        return await self._swap(key, state)

    async def _swap(self, key: bytes, state: str) -> str:
        before = await self._store.command("SET", key, state, "PX", _KEPT, "GET")
        return before.decode() if before is not None else ""
