"""What is kept of a login's verdict: metrics, one line of the decision log, the index."""

import logging
from collections import Counter
from collections.abc import Callable
from time import perf_counter

from policyd.logins import LoginDecision
from policyd.model import Action, Outcome, Usage, Verdict
from policyd.policy.wording import login_rule
from policyd.verdicts import Fields, Kept, VerdictRecorder, resumes

_HOUR = 3_600_000
_log = logging.getLogger("policyd.logins")


class RefusedMailboxes:
    """Which mailboxes each client found refused in the last hour, in bounded memory."""

    def __init__(self, now: Callable[[], int], room: int = 10_000) -> None:
        self._now, self._room = now, room
        self._seen: dict[tuple[str, str], int] = {}

    def note(self, client: str, mailbox: str) -> None:
        """Note a refusal now; where the room is used up, the oldest one is forgotten."""
        self._seen.pop((client, mailbox), None)
        self._seen[client, mailbox] = self._now()
        if len(self._seen) > self._room:
            self._seen.pop(next(iter(self._seen)))

    def most(self) -> int:
        """Return the largest number of mailboxes of one client."""
        since = self._now() - _HOUR
        found = Counter(client for (client, _), at in self._seen.items() if at > since)
        return max(found.values(), default=0)


class LoginRecorder(VerdictRecorder[LoginDecision]):
    """Implements logins.Recorder."""

    service = "dovecot"

    def __init__(self, kept: Kept, now: Callable[[], int]) -> None:
        super().__init__(kept)
        self._refused_mailboxes = RefusedMailboxes(now)
        self._warned = False
        kept.metrics.count_refused_mailboxes(self._refused_mailboxes.most)

    def decided(self, decision: LoginDecision, verdict: Verdict, outcome: Outcome | None) -> None:
        """Count a verdict, log what was refused, and note whom it shut out where."""
        super().decided(decision, verdict, outcome)
        if verdict.charge >= 0 and decision.request.remote:
            self._refused_mailboxes.note(decision.request.remote, decision.plan.traffic.user)

    def failed(self, decision: LoginDecision, outcome: Outcome) -> None:
        """Note how often a client failed; its first failure over a limit is told of once."""
        self._usages.note(decision.plan, outcome)
        seconds = perf_counter() - decision.started
        for index, usage in enumerate(outcome.usages):
            if usage.episode is None or not usage.episode.started:
                continue
            if decision.plan.charges[index].observed:
                self._would_refuse(decision, index, outcome, seconds)
            else:
                self._tell(decision, index, outcome, Action.REJECT)
                self._write(decision, Action.REJECT, seconds, decision.plan.limits[index].name, usage)

    def asked_twice(self) -> None:
        """Say once that Dovecot asks before and after the password, so that each login would count twice."""
        if not self._warned:
            self._warned = True
            _log.warning(
                "Dovecot asks twice about one login, so that it counts twice, and wrong passwords count too: write "
                "auth_policy_check_before_auth = no and auth_policy_check_after_auth = yes into dovecot.conf"
            )

    def _write(  # noqa: PLR0917  # the parts of one log line
        self, decision: LoginDecision, action: str, seconds: float, limit: str = "", usage: Usage | None = None,
        extra: Fields | None = None,
    ) -> None:  # fmt: skip
        traffic, request = decision.plan.traffic, decision.request
        episode = usage.episode if usage is not None else None
        fields: Fields = {
            "action": action,
            "limit": limit,
            "used": f"{usage.used}/{usage.max}" if usage is not None else "",
            "account": traffic.account,
            "traffic": traffic.kind,
            "mailbox": traffic.user,
            "protocol": request.protocol,
            "client": request.remote,
            "resumes": resumes(usage) if usage is not None else "",
            "ref": episode.ref if episode is not None else "",
            "ms": round(seconds * 1000, 2),
        }
        fields.update(extra or {})
        self._lines.write(fields)

    def _asked(self, decision: LoginDecision) -> dict[str, str]:
        request, traffic = decision.request, decision.plan.traffic
        return {"client": request.remote, "protocol": request.protocol, "rule": login_rule(traffic)}
