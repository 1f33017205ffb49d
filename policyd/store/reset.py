"""How a counter is emptied by hand: its units, its episode and its lock go."""

from policyd.model import CounterType
from policyd.store import keys
from policyd.store.redis import RedisStore

_EPISODE = "episode"


async def forget(store: RedisStore, account: str, limit: str, subject: str, *, size: bool = False) -> None:
    """Empty the counter of a subject under a limit and open its lock. Raises StoreError.

    Of a limit of ``size`` what is kept of the list goes, which all limits of its size share.
    """
    tagged = keys.tag(account)
    names = [keys.counter(tagged, kind, limit, subject) for kind in (*CounterType, _EPISODE)]
    if size:
        names.append(keys.seen(tagged, subject))
    await store.command("HDEL", keys.state(tagged), keys.lock(limit, subject))
    await store.command("DEL", *names)
