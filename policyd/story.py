"""What a reference stands for: what was refused then, how full the counter is now, and what to do."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from policyd.conf.schema import Config
from policyd.model import Sure, TrafficKind
from policyd.policy.decide import moment
from policyd.policy.limits import rate_look
from policyd.status import Gauge, gauge, terms_of_account
from policyd.store.base import Call, Op
from policyd.store.index import Entry, Index
from policyd.store.redis import RedisStore
from policyd.suspension import Suspended


@dataclass(frozen=True, slots=True)
class Story:
    """One reference. ``then`` is what was kept when it began; ``now`` is its counter, None where no limit has it now.

    ``suspension`` is set when the reference is that of a suspension in force; then nothing else is.
    """

    ref: str
    then: Mapping[str, Any]
    now: Gauge | None
    suspension: Mapping[str, Any] | None
    advice: tuple[str, ...]


async def tell(config: Config, store: RedisStore, index: Index, ref: str) -> Story | None:
    """Return the story of a refusal's reference, None when there is none. Raises StoreError."""
    then = await index.story(ref)
    if then is None:
        return None
    now = await _held(config, store, Entry(then["account"], then["limit"], then["subject"]))
    return Story(ref, then, now, None, tuple(_advice(then, now)))


def tell_suspension(suspended: Suspended) -> Story:
    """Return the story of a suspension's reference."""
    end = f"ends by itself at {moment(suspended.until)}" if suspended.until else "lasts until somebody resumes it"
    cure = f"it {end}; policyd resume {suspended.subject} ends it now"
    until = moment(suspended.until) if suspended.until else ""
    shown = {**suspended._asdict(), "at": moment(suspended.at), "until": until}
    return Story(suspended.ref, {}, None, shown, (cure, "receiving mail goes on meanwhile"))


async def _held(config: Config, store: RedisStore, entry: Entry) -> Gauge | None:
    terms = terms_of_account(config, entry.account)
    limit = next((one for one in terms.rates if one.name == entry.limit), None)
    if limit is None or limit.max is None:
        return None
    look = rate_look(limit, entry.subject, limit.max)
    outcome = await store.ask(Call(Op.PEEK, entry.account, None, (look,)))
    return gauge(config, terms, limit, entry, outcome.usages[0])


def _advice(then: Mapping[str, Any], now: Gauge | None) -> list[str]:
    """Return what support can tell the customer, and do."""
    if then.get("observed"):
        return ["nothing was refused: the limit only observes, and says what it would do"]
    advice = [_when(then, now)]
    if then["traffic"] in {TrafficKind.SCRIPT, TrafficKind.LIST, TrafficKind.RELAYED}:
        advice.append("the mail waits in the sender's queue and goes out by itself; nothing is lost")
    elif then["traffic"] == TrafficKind.USER:
        advice.append("the mail program was told at once; what it refused must be sent again")
    if then["sure"] == Sure.CLAIMED:
        advice.append(
            "only the envelope sender says whose mail it was: any user of this host may have sent it "
            "(policyd config check --postfix says how to close that)"
        )
    return advice


def _when(then: Mapping[str, Any], now: Gauge | None) -> str:
    if now is None:
        return f"no limit {then['limit']} counts for {then['subject']} any more"
    if now.max == 0 or (then["resumes"] == "never" and then.get("cost", 0) > now.max):
        return "this can never fit: send it to fewer at a time, or have the maximum changed"
    if not now.resumes:
        return "it flows again now: nothing needs to be done"
    return "wait until it flows again, or have the maximum changed (a larger plan, or a raise for a while)"
