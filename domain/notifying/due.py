"""What is due: the deliveries that follow from an event, and what is remembered; pure.

Nothing here depends on how a reader's batches were cut: the same events lead to the
same deliveries, with the same ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from msgspec.structs import replace

from domain.notifying.annotation import Subscription
from domain.notifying.live_execution import LiveExecution
from domain.notifying.mails import Mail, recipient_violation
from domain.notifying.notice import Action, Delivery, Notice, Reason, delivery_id
from domain.notifying.rules import FAILURES, Rule
from domain.notifying.subjects import NOTHING_YET, Subject
from schemas.ids import execution_stream
from schemas.messages import execution_events as e
from schemas.messages.node_events import Event
from schemas.phases import ExecutionPhase
from schemas.values import Failure

SubjectKey: TypeAlias = tuple[str, str]
"""A rule, and the launch plan that it is about: project/domain/name."""
_ENDS: Mapping[type[Event], ExecutionPhase] = {
    e.ExecutionSucceeded: ExecutionPhase.SUCCEEDED,
    e.ExecutionFailed: ExecutionPhase.FAILED,
    e.ExecutionAborted: ExecutionPhase.ABORTED,
    e.ExecutionTimedOut: ExecutionPhase.TIMED_OUT,
}
ENDS = frozenset(_ENDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Who is told: the rules, and the channels on which a success resolves an alert.

    `mail` is the channel of Flyte's own mails. What is asked of a channel that isn't
    among `channels` can't be delivered.
    """

    channels: frozenset[str] = frozenset()
    rules: tuple[Rule, ...] = ()
    resolving: frozenset[str] = frozenset()
    mail: str = ""
    mail_domains: frozenset[str] = frozenset()

    def refusal(self, channel: str, mail: Mail | None) -> str:
        """Return why something can't be delivered; '' if it can."""
        if channel not in self.channels:
            return f"Expected a channel that is set, but '{channel}' isn't"
        recipients = mail.recipients if mail is not None else ()
        wrong = (recipient_violation(one, self.mail_domains) for one in recipients)
        return next((text for text in wrong if text is not None), "")

    def of(self, live: LiveExecution) -> Iterator[Rule]:
        """Yield the rules about an execution, its annotation's among them."""
        yield from (rule for rule in self.rules if rule.match.takes(live))
        yield from map(_as_rule, live.subscriptions)

    def concerns(self, live: LiveExecution) -> bool:
        """Return whether anything could be due for an execution."""
        return bool(live.mails) or any(True for _ in self.of(live))


@dataclass(slots=True, kw_only=True)
class Due:
    """Deliveries, and the subjects as they are after them.

    `subjects` must hold those that are known of `subject_keys`.
    """

    policy: Policy
    subjects: dict[SubjectKey, Subject] = field(default_factory=dict)
    deliveries: list[Delivery] = field(default_factory=list)

    def take(self, live: LiveExecution, event: Event, event_id: str) -> None:
        """Add what is due because of an event, by the execution before it."""
        phase = _ENDS.get(type(event))
        if phase is not None:
            self._end(live, event, event_id, phase)
        elif isinstance(event, e.StreamParked):
            notice = Notice(
                reason="parked",
                live=live,
                at_us=event.occurred_at_us,
                error=event.error,
            )
            for rule in self.policy.of(live):
                if rule.parked:
                    self._tell(rule, notice, event_id)

    def take_late(self, live: LiveExecution, now_us: int) -> None:
        """Add what is due because an execution runs for too long.

        An execution is told of once for each rule: ids don't depend on the time.
        """
        for rule in self.policy.of(live):
            usual_us = self.subjects.get(subject_key(rule, live), NOTHING_YET).usual_us
            limit_us = running_limit_us(rule, usual_us)
            if limit_us is None or now_us < live.begun_at_us + limit_us:
                continue
            notice = Notice(
                reason="running_long",
                live=live,
                at_us=live.begun_at_us + limit_us,
                usual_us=usual_us,
                limit_us=limit_us,
            )
            stream = execution_stream(live.execution)
            self._tell(rule, notice, f"{stream}/{notice.reason}")

    def changed(self, known: Mapping[SubjectKey, Subject]) -> dict[SubjectKey, Subject]:
        """Return the subjects that aren't as they were known."""
        return {
            key: after
            for key, after in self.subjects.items()
            if known.get(key) is not after
        }

    def _end(
        self, live: LiveExecution, event: Event, event_id: str, phase: ExecutionPhase
    ) -> None:
        at_us = event.occurred_at_us
        failure = getattr(event, "failure", None)
        ended = Notice(
            reason="ended",
            live=live,
            at_us=at_us,
            phase=phase,
            failure=failure,
            cause=getattr(event, "cause", ""),
        )
        for number, mail in enumerate(live.mails):
            if mail.wants(phase):
                self._mail(mail, number, ended, event_id)
        for rule in self.policy.of(live):
            key = subject_key(rule, live)
            before = self.subjects.get(key, NOTHING_YET)
            after = before.after(phase, at_us, _duration_us(live, at_us))
            self.subjects[key] = after
            reason = _reason(rule, live, before, after, phase, failure)
            notice = replace(
                ended,
                reason=reason or "ended",
                previous=before.last,
                failures=max(after.failures, before.failures),
                failing_since_us=after.failing_since_us or before.failing_since_us,
                usual_us=before.usual_us,
            )
            if reason is not None:
                self._tell(rule, notice, event_id)
            if phase is ExecutionPhase.SUCCEEDED and before.alerts:
                self._resolve(rule, before.alerts, notice, event_id)

    def _tell(self, rule: Rule, notice: Notice, event_id: str) -> None:
        is_alert = notice.phase is not ExecutionPhase.SUCCEEDED
        key = subject_key(rule, notice.live)
        for channel in rule.channels:
            resolves = channel in self.policy.resolving
            if resolves and not is_alert:
                continue  # Its alert is resolved; there is nothing to raise one for.
            if resolves:
                known = self.subjects.get(key, NOTHING_YET)
                self.subjects[key] = known.with_alert(channel)
            self._add(rule.name, channel, notice, event_id, "tell")

    def _resolve(
        self, rule: Rule, channels: Iterable[str], notice: Notice, event_id: str
    ) -> None:
        key = subject_key(rule, notice.live)
        self.subjects[key] = self.subjects[key].without_alerts()
        for channel in channels:
            self._add(rule.name, channel, notice, event_id, "resolve")

    def _mail(self, mail: Mail, number: int, ended: Notice, event_id: str) -> None:
        notice = replace(ended, mail=mail)
        self._add(f"notification {number}", self.policy.mail, notice, event_id, "tell")

    def _add(
        self, rule: str, channel: str, notice: Notice, event_id: str, action: Action
    ) -> None:
        plan = _plan(notice.live)
        self.deliveries.append(
            Delivery(
                id=delivery_id(event_id, rule, channel),
                channel=channel,
                rule=rule,
                stream=execution_stream(notice.live.execution),
                event_id=event_id,
                subject=f"{rule}/{plan}",
                action=action,
                notice=notice,
                refused=self.policy.refusal(channel, notice.mail),
            )
        )


def running_limit_us(rule: Rule, usual_us: int | None) -> int | None:
    """Return how long an execution may run by a rule, as far as that is known."""
    if rule.running_us is not None:
        return rule.running_us
    if rule.running_factor is not None and usual_us is not None:
        return int(usual_us * rule.running_factor)
    return None


def subject_key(rule: Rule, live: LiveExecution) -> SubjectKey:
    """Return what is remembered of an execution's launch plan for a rule."""
    return (rule.name, _plan(live))


def subject_keys(
    policy: Policy, live: LiveExecution, *, with_all: bool = True
) -> set[SubjectKey]:
    """Return the subjects that an execution is about: all, or those of usual times."""
    return {
        subject_key(rule, live)
        for rule in policy.of(live)
        if with_all or rule.running_factor is not None
    }


def late_at_us(
    policy: Policy,
    live: LiveExecution,
    subjects: Mapping[SubjectKey, Subject],
    after_us: int = 0,
) -> int | None:
    """Return when an execution will be late next, after a time; None if it can't be."""
    limits = (
        running_limit_us(
            rule, subjects.get(subject_key(rule, live), NOTHING_YET).usual_us
        )
        for rule in policy.of(live)
    )
    found = (live.begun_at_us + limit_us for limit_us in limits if limit_us is not None)
    return min((at_us for at_us in found if at_us > after_us), default=None)


def _reason(
    rule: Rule,
    live: LiveExecution,
    before: Subject,
    after: Subject,
    phase: ExecutionPhase,
    failure: Failure | None,
) -> Reason | None:
    """Return why a rule tells of an end; None if it doesn't."""
    if phase is ExecutionPhase.SUCCEEDED and rule.recovered and before.failures:
        return "recovered"
    if phase in FAILURES and rule.system_retries and live.system_retries:
        return "system_retries"
    if not rule.takes_end(phase, failure):
        return None
    if phase in FAILURES and rule.failures_in_a_row:
        is_due = after.failures == rule.failures_in_a_row
        return "failures_in_a_row" if is_due else None
    if phase in FAILURES and rule.first_failure:
        return "first_failure" if after.failures == 1 else None
    return "ended"


def _duration_us(live: LiveExecution, at_us: int) -> int | None:
    if live.started_at_us is None:
        return None
    return max(0, at_us - live.started_at_us)


def _plan(live: LiveExecution) -> str:
    plan = live.launch_plan
    return f"{plan.project}/{plan.domain}/{plan.name}"


def _as_rule(subscription: Subscription) -> Rule:
    """Return what an annotation asks for as a rule of the execution alone."""
    what = ",".join(subscription.phases).lower() or f"late {subscription.late_us}"
    return Rule(
        name=f"annotation {subscription.channel} {what}",
        channels=(subscription.channel,),
        phases=subscription.phases,
        running_us=subscription.late_us,
    )
