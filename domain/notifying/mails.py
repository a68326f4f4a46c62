"""Flyte's own notifications of executions and launch plans (ref §10); pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from email.utils import getaddresses
from typing import Literal

import msgspec
from flyteidl.admin import common_pb2
from flyteidl.core import execution_pb2

from schemas.phases import TERMINAL_EXECUTION, ExecutionPhase

MailKind = Literal["email", "slack", "pager_duty"]
_KINDS: tuple[MailKind, ...] = ("email", "slack", "pager_duty")
_TERMINAL = {
    number: ExecutionPhase(name)
    for name, number in execution_pb2.WorkflowExecution.Phase.items()
    if name in TERMINAL_EXECUTION
}


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """A mail that is wanted once an execution has ended in one of some phases.

    Slack's and PagerDuty's are mails to their relay addresses. `template` is the body,
    '' for the operator's.
    """

    kind: MailKind
    recipients: tuple[str, ...]
    phases: tuple[ExecutionPhase, ...]
    template: str = ""

    def wants(self, phase: ExecutionPhase) -> bool:
        """Return whether it tells of an end; FAILED covers TIMED_OUT.

        In Flyte no execution ends TIMED_OUT, so few plans name that.
        """
        if phase is ExecutionPhase.TIMED_OUT and ExecutionPhase.FAILED in self.phases:
            return True
        return phase in self.phases


def mails(notifications: Iterable[common_pb2.Notification]) -> Iterator[Mail]:
    """Yield the mails that valid notifications ask for."""
    for notification in notifications:
        kind = _kind(notification)
        if kind is None:
            continue
        asked = getattr(notification, kind)
        yield Mail(
            kind=kind,
            recipients=tuple(asked.recipients_email),
            phases=tuple(
                dict.fromkeys(
                    _TERMINAL[p] for p in notification.phases if p in _TERMINAL
                )
            ),
            template=asked.template,
        )


def violation(
    notifications: Iterable[common_pb2.Notification],
    domains: frozenset[str] = frozenset(),
) -> str | None:
    """Return what is wrong with notifications; of recipients' domains, if limited.

    In Flyte's order: kind and recipients first, then phases.
    """
    for notification in notifications:
        kind = _kind(notification)
        if kind is None:
            return "Expected a notification by e-mail, Slack or PagerDuty, but got none"
        recipients = getattr(notification, kind).recipients_email
        if not recipients:
            return "Expected a notification with recipients, but it has none"
        for recipient in recipients:
            if wrong := recipient_violation(recipient, domains):
                return wrong
        if any(phase not in _TERMINAL for phase in notification.phases):
            return "Expected notifications of terminal phases, but got another"
    return None


def _kind(notification: common_pb2.Notification) -> MailKind | None:
    found = notification.WhichOneof("type")
    return next((kind for kind in _KINDS if kind == found), None)


def recipient_violation(recipient: str, domains: frozenset[str]) -> str | None:
    """Return what is wrong with a recipient; of its domain, if those are limited."""
    if not recipient.strip():
        return "Expected notifications with recipients, but one is empty"
    if any(ord(character) < ord(" ") for character in recipient):
        return f"Expected a recipient without line breaks, but got {recipient!r}"
    if not domains:
        return None
    found = [address for _, address in getaddresses([recipient])]
    domain = found[0].rpartition("@")[2].lower() if len(found) == 1 else ""
    is_plain = len(found) == 1 and found[0].count("@") == 1
    if is_plain and domain in domains and recipient.count("@") == 1:
        return None
    allowed = ", ".join(sorted(domains))
    return f"Expected a recipient at {allowed}, but got '{recipient[:100]}'"
