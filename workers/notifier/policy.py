"""Settings as rules and channels; what can't be used is refused with the reason."""

from __future__ import annotations

from collections.abc import Iterator

from domain.annotations import DURATION_US_MAX, duration_us
from domain.notifying.due import Policy
from domain.notifying.rules import Match, Rule, with_defaults
from infra.errors import PermanentError
from infra.setting_sections.notifications import (
    NotifySettings,
    PagerDutySettings,
    RuleSettings,
)
from schemas.phases import TERMINAL_EXECUTION, ExecutionPhase
from schemas.values import ErrorKind

_FACTOR_MAX = 1_000.0
MAIL = "email"
"""The channel of the mails that Flyte's notifications ask for."""


class InvalidRuleError(PermanentError):
    """Rules or channels that can't be used; its text says why."""


def policy(settings: NotifySettings) -> Policy:
    """Return who is told of what; raises InvalidRuleError."""
    channels = settings.channel_settings
    rules = [_rule(one, settings) for one in settings.rules]
    names = [rule.name for rule in rules]
    for name in names:
        if names.count(name) > 1:
            raise InvalidRuleError(
                f"Expected rules of different names, but two are '{name}'"
            )
    return Policy(
        channels=frozenset(channels),
        rules=with_defaults(rules, settings.named_channels),
        mail_domains=settings.mail_domains,
        resolving=frozenset(
            name for name, one in channels.items() if isinstance(one, PagerDutySettings)
        ),
        mail=MAIL,
    )


def _rule(settings: RuleSettings, every: NotifySettings) -> Rule:
    where = f"rule '{settings.name}'"
    for wrong in _violations(settings, every):
        raise InvalidRuleError(f"{where}: {wrong}")
    phases = {phase.lower(): phase for phase in TERMINAL_EXECUTION}
    return Rule(
        name=settings.name,
        channels=settings.channels,
        match=Match(
            projects=settings.project,
            domains=settings.domain,
            workflows=settings.workflow,
            launch_plans=settings.launch_plan,
            labels=settings.labels,
            modes=settings.mode,
            children=settings.children,
        ),
        phases=tuple(
            ExecutionPhase(phases[name]) for name in settings.on if name in phases
        ),
        error_kinds=tuple(ErrorKind(kind.upper()) for kind in settings.error_kind),
        error_codes=settings.error_code,
        first_failure="first_failure" in settings.on,
        failures_in_a_row=settings.failures_in_a_row,
        recovered="recovered" in settings.on,
        system_retries="system_retries" in settings.on,
        parked="parked" in settings.on,
        running_us=_duration(settings.running_longer_than),
        running_factor=_factor(settings.running_longer_than),
    )


def _violations(settings: RuleSettings, every: NotifySettings) -> Iterator[str]:
    channels = every.channel_settings
    if not settings.channels:
        yield "Expected channels, but it names none"
    for channel in settings.channels:
        if channel not in channels:
            known = ", ".join(sorted(channels)) or "none"
            yield f"Expected a channel that is set ({known}), but got '{channel}'"
        elif channel not in every.named_channels:
            yield f"Expected a channel that has recipients, but '{channel}' has none"
    running = settings.running_longer_than
    if running and _duration(running) is None and _factor(running) is None:
        yield f"Expected a duration like 2h or a factor like 3x, but got '{running}'"
    if not (settings.on or settings.failures_in_a_row or running):
        yield "Expected a moment (on, failures_in_a_row, running_longer_than, …)"


def _duration(text: str) -> int | None:
    found = duration_us(text)
    return found if found and found <= DURATION_US_MAX else None


def _factor(text: str) -> float | None:
    if not text.endswith("x"):
        return None
    try:
        found = float(text[:-1])
    except ValueError:
        return None
    return found if 1 < found <= _FACTOR_MAX else None
