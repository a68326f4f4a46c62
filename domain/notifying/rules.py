"""The operator's rules: which executions, at which moments, on which channels; pure."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

import msgspec

from domain.notifying.live_execution import LiveExecution, Mode
from schemas.phases import ExecutionPhase
from schemas.values import ErrorKind, Failure

FAILURES = (ExecutionPhase.FAILED, ExecutionPhase.TIMED_OUT)
_DAY_US = 24 * 3_600_000_000

Patterns = tuple[str, ...]
"""Texts with `*` and `?`; none of them take everything."""


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """Which executions a rule is about: those that all of these take."""

    projects: Patterns = ()
    domains: Patterns = ()
    workflows: Patterns = ()
    launch_plans: Patterns = ()
    labels: dict[str, str] = {}
    modes: tuple[Mode, ...] = ()
    children: bool = False

    def takes(self, live: LiveExecution) -> bool:
        """Return whether the rule is about an execution."""
        if live.is_child and not self.children:
            return False
        if self.modes and live.mode not in self.modes:
            return False
        return (
            _take(self.projects, live.execution.project)
            and _take(self.domains, live.execution.domain)
            and _take(self.workflows, live.workflow.name)
            and _take(self.launch_plans, live.launch_plan.name)
            and all(
                name in live.labels and fnmatchcase(live.labels[name], pattern)
                for name, pattern in self.labels.items()
            )
        )


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """Channels that are told of some executions, at one of these moments.

    `phases`: it ended in one of them, with an error of `error_kinds`, `error_codes`.
    With `first_failure`, only the first failure after a success counts; with
    `failures_in_a_row`, only that many of one launch plan. `recovered`: the first
    success after failures. `running_us`: it runs for longer; `running_factor`: so many
    times longer than it usually does. `system_retries`: it failed, and system errors
    used retries up. `parked`: it takes no commands.
    """

    name: str
    channels: tuple[str, ...]
    match: Match = Match()
    phases: tuple[ExecutionPhase, ...] = ()
    error_kinds: tuple[ErrorKind, ...] = ()
    error_codes: Patterns = ()
    first_failure: bool = False
    failures_in_a_row: int = 0
    recovered: bool = False
    running_us: int | None = None
    running_factor: float | None = None
    system_retries: bool = False
    parked: bool = False

    def takes_end(self, phase: ExecutionPhase, failure: Failure | None) -> bool:
        """Return whether an end is one of those that it tells of, whatever was before.

        One that tells of failures in a row, or of the first one, tells of failures.
        """
        phases = self.phases
        if not phases and (self.first_failure or self.failures_in_a_row):
            phases = FAILURES
        if phase not in phases:
            return False
        if self.error_kinds and (
            failure is None or failure.kind not in self.error_kinds
        ):
            return False
        return failure is None or _take(self.error_codes, failure.code)


def default_rules(channel: str) -> tuple[Rule, ...]:
    """Return the rules of a channel that none names."""
    return (
        Rule(name=f"{channel}: failed", channels=(channel,), phases=FAILURES),
        Rule(
            name=f"{channel}: running for a day",
            channels=(channel,),
            running_us=_DAY_US,
        ),
    )


def with_defaults(rules: Iterable[Rule], channels: Iterable[str]) -> tuple[Rule, ...]:
    """Return the rules of the operator, and those of channels that no rule names."""
    found = tuple(rules)
    named = {channel for rule in found for channel in rule.channels}
    return found + tuple(
        rule
        for channel in channels
        if channel not in named
        for rule in default_rules(channel)
    )


def _take(patterns: Patterns, text: str) -> bool:
    return not patterns or any(fnmatchcase(text, pattern) for pattern in patterns)
