"""The words of a notification: what happened, since when, and where to look; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from textwrap import dedent
from typing import Literal, TypeAlias

from domain.notifying.notice import Notice, Reason
from schemas.phases import ExecutionPhase

Severity: TypeAlias = Literal["critical", "error", "warning", "info"]
ERROR_LINES = 12
ERROR_CHARACTERS = 1_500
_GENERATED = ".flytegen."
"""What the name of a single task's launch plan begins with."""
_MESSAGE, _TRACE = "\nMessage:\n", "Trace:"
_EXACT_S = 10
_SECOND_US, _MINUTE_S, _HOUR_S, _DAY_S = 1_000_000, 60, 3_600, 86_400
_PHASES = {
    ExecutionPhase.SUCCEEDED: "succeeded",
    ExecutionPhase.FAILED: "failed",
    ExecutionPhase.ABORTED: "was aborted",
    ExecutionPhase.TIMED_OUT: "timed out",
}
_KINDS: dict[ExecutionPhase | None, str] = {
    ExecutionPhase.SUCCEEDED: "ExecutionSucceeded",
    ExecutionPhase.FAILED: "ExecutionFailed",
    ExecutionPhase.ABORTED: "ExecutionAborted",
    ExecutionPhase.TIMED_OUT: "ExecutionTimedOut",
}
_KINDS_OF_REASONS: dict[Reason, str] = {
    "running_long": "ExecutionRunningLong",
    "parked": "ExecutionParked",
    "test": "Test",
}


@dataclass(frozen=True, slots=True)
class Link:
    """A page about what happened."""

    text: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """A message in plain text: each channel escapes and cuts it as it must.

    `text` is the error's first lines, `fields` are names with values, `about` is the
    launch plan's name, `kind` and `reason` are what programs go by.
    """

    title: str
    text: str = ""
    fields: Sequence[tuple[str, str]] = ()
    links: Sequence[Link] = ()
    severity: Severity = "error"
    kind: str = ""
    reason: str = ""
    about: str = ""
    execution: str = ""
    at: str = ""


def words(notice: Notice, rule: str, base_url: str) -> Words:
    """Return the words of a notice; links begin with `base_url`."""
    live = notice.live
    return Words(
        title=_title(notice),
        text=_text(notice),
        fields=tuple(_fields(notice, rule)),
        links=tuple(_links(notice, base_url)),
        severity=_severity(notice),
        kind=_KINDS_OF_REASONS.get(notice.reason) or _KINDS.get(notice.phase, ""),
        reason=notice.reason,
        about=live.launch_plan.name,
        execution=f"execution/{live.execution.text()}",
        at=_iso(notice.at_us),
    )


def span(us: int) -> str:
    """Return a duration for people: two units at most."""
    seconds = us // _SECOND_US
    if seconds < _MINUTE_S:
        return f"{us / _SECOND_US:.1f} s" if seconds < _EXACT_S else f"{seconds} s"
    if seconds < _HOUR_S:
        return f"{seconds // _MINUTE_S} min {seconds % _MINUTE_S} s"
    if seconds < _DAY_S:
        return f"{seconds // _HOUR_S} h {seconds % _HOUR_S // _MINUTE_S} min"
    return f"{seconds // _DAY_S} d {seconds % _DAY_S // _HOUR_S} h"


def _title(notice: Notice) -> str:
    plan, name = notice.live.launch_plan, notice.live.execution.name
    what = f"{plan.name.removeprefix(_GENERATED)} ({plan.project}/{plan.domain})"
    match notice.reason:
        case "recovered":
            return f"{what} works again after {_failures(notice.failures)}: {name}"
        case "failures_in_a_row":
            return f"{what} failed {notice.failures} times in a row: {name}"
        case "first_failure":
            return f"{what} failed, after it had worked: {name}"
        case "running_long":
            return f"{what} has run for over {span(notice.limit_us or 0)}: {name}"
        case "parked":
            return f"{what} is parked: {name}"
        case "system_retries":
            return f"{what} failed after retries for system errors: {name}"
        case "test":
            return "This is a test of a channel of Flightlog"
        case "ended":
            phase = _PHASES.get(notice.phase) if notice.phase else None
            return f"{what} {phase or 'ended'}: {name}"


def _text(notice: Notice) -> str:
    if notice.error:
        return _beginning(notice.error)
    if notice.failure is not None:
        return _beginning(_first_what_matters(notice.failure.message))
    return _beginning(notice.cause)


def _fields(notice: Notice, rule: str) -> list[tuple[str, str]]:
    live, failure = notice.live, notice.failure
    found = [("execution", live.execution.text())]
    if failure is not None:
        found.append(("error", f"{failure.code} ({failure.kind.lower()})"))
    if live.started_at_us is not None and notice.phase is not None:
        found.append(("ran for", span(max(0, notice.at_us - live.started_at_us))))
    if notice.usual_us is not None:
        found.append(("usually", span(notice.usual_us)))
    if live.retries:
        found.append(("retries", str(live.retries)))
    if notice.failing_since_us is not None and notice.failures > 1:
        since = f"{_iso(notice.failing_since_us)} ({_failures(notice.failures)})"
        found.append(("failing since", since))
    if live.principal:
        found.append(("started by", live.principal))
    found.append(("rule", rule))
    return found


def _links(notice: Notice, base_url: str) -> list[Link]:
    if not base_url or notice.reason == "test":
        return []
    path = notice.live.execution.text()
    return [Link("Execution", f"{base_url}/api/v1/executions/{path}")]


def _severity(notice: Notice) -> Severity:
    if notice.reason == "running_long":
        return "warning"
    is_well = notice.phase in (ExecutionPhase.SUCCEEDED, ExecutionPhase.ABORTED)
    return "info" if is_well or notice.reason == "test" else "error"


def _failures(count: int) -> str:
    return "1 failure" if count == 1 else f"{count} failures"


def _first_what_matters(message: str) -> str:
    """Return an error with its message before its trace, which flytekit puts first."""
    trace, mark, said = message.partition(_MESSAGE)
    if not mark or not trace.lstrip().startswith(_TRACE):
        return message
    return f"{dedent(said).strip()}\n\n{trace.strip()}"


def _beginning(text: str) -> str:
    """Return the first lines of a text; Python's tracebacks end with what matters."""
    lines = text.strip().splitlines()
    if len(lines) > ERROR_LINES:
        half = ERROR_LINES // 2
        lines = [*lines[:half], "…", *lines[-half:]]
    found = "\n".join(lines)
    return found if len(found) <= ERROR_CHARACTERS else f"{found[:ERROR_CHARACTERS]}…"


def _iso(us: int) -> str:
    at = datetime.fromtimestamp(us / _SECOND_US, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
