"""What is kept of a decision about mail."""

import logging
from collections.abc import Callable
from time import perf_counter

from policyd.address import normal_form
from policyd.model import Action, Outcome, Usage, Verdict
from policyd.policy.wording import rule
from policyd.service import RCPT, Decision
from policyd.settlement import Kind, OpenMessage
from policyd.verdicts import Fields, Kept, VerdictRecorder, fullest, resumes

_log = logging.getLogger("policyd.decide")


class DecisionRecorder(VerdictRecorder[Decision]):
    """Implements service.Recorder."""

    service = "postfix"

    def __init__(self, kept: Kept, now: Callable[[], int]) -> None:
        super().__init__(kept)
        self._now = now

    def decided(self, decision: Decision, verdict: Verdict, outcome: Outcome | None) -> None:
        """Count a verdict, log what was refused, and note what goes to a spam trap."""
        super().decided(decision, verdict, outcome)
        if decision.config.spam_traps.addresses and verdict.action is Action.ACCEPT:
            self._look_for_trap(decision, outcome)

    def settled(self, decision: Decision, outcome: Outcome) -> None:
        """Log a completed message with what its domain has used."""
        kind, seconds = decision.plan.traffic.kind, perf_counter() - decision.started
        self._metrics.decided(self.service, kind, Action.ACCEPT, seconds)
        if outcome.unknown:
            self._metrics.settle_unknown()
        if outcome.repeated:
            self._metrics.repeated()
        self._usages.note(decision.plan, outcome)
        limit, usage = fullest(decision, outcome)
        extra: Fields = {"recipients": decision.request.recipient_count}
        self._write(decision, "settle", seconds, limit, usage, extra)

    def given_back(self, message: OpenMessage) -> None:  # noqa: ARG002  # one of many that may listen
        """Count a message whose charges were undone."""
        self._metrics.given_back()

    def settle_lost(self, kind: Kind) -> None:
        """Say that a kind of traffic shows no END-OF-MESSAGE any more, so that its charges are final."""
        self._metrics.settle_lost()
        _log.error(
            "no END-OF-MESSAGE any more for %s: charges are final there; put check_policy_service into "
            "smtpd_end_of_data_restrictions of that port, or set accounts.settle: recipient",
            kind,
        )

    def _look_for_trap(self, decision: Decision, outcome: Outcome | None) -> None:
        """Note a recipient that is a trap. A null sender is some program's answer, and chose no recipient."""
        request, traps = decision.request, decision.config.spam_traps
        if request.protocol_state != RCPT or not request.sender or (outcome is not None and outcome.repeated):
            return
        recipient = normal_form(request.recipient, decision.config.accounts.delimiter)
        if recipient in traps.addresses:
            self._striker.trapped(decision.plan.traffic, recipient, request.instance, traps, self._now())

    def _write(  # noqa: PLR0917  # the parts of one log line
        self, decision: Decision, action: str, seconds: float, limit: str = "", usage: Usage | None = None,
        extra: Fields | None = None,
    ) -> None:  # fmt: skip
        traffic, request = decision.plan.traffic, decision.request
        episode = usage.episode if usage is not None else None
        fields: Fields = {
            "action": action,
            "limit": limit,
            "used": f"{usage.used}/{usage.max}" if usage is not None else "",
            "account": traffic.account,
            "sure": traffic.sure,
            "traffic": traffic.kind,
            "list": traffic.list,
            "queue_id": request.queue_id,
            "sasl": request.sasl_username,
            "client": request.client_address,
            "sender": request.sender,
            "recipient": request.recipient,
            "resumes": resumes(usage) if usage is not None else "",
            "ref": episode.ref if episode is not None else "",
            "ms": round(seconds * 1000, 2),
        }
        fields.update(extra or {})
        self._lines.write(fields)

    def _asked(self, decision: Decision) -> dict[str, str]:
        request = decision.request
        return {
            "client": request.client_address, "queue_id": request.queue_id, "sender": request.sender,
            "recipient": request.recipient, "rule": rule(decision.config, decision.plan.traffic, request),
        }  # fmt: skip
