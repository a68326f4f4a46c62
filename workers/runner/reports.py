"""Reports of a runner on its dispatches: commands, as records for the log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from infra.clock import Clock
from infra.eventlog.contract import Received, Record
from schemas import topics
from schemas.envelope import Envelope
from schemas.ids import attempt_id, report_id
from schemas.messages import commands as c
from schemas.messages import dispatches as d
from schemas.phases import ReservationStatus
from schemas.values import Failure, TaskLog
from schemas.wire import codec
from workers.dead_letters import dead_letter_record
from workers.plugins.plugin import (
    Expanded,
    Failed,
    Result,
    Started,
    Succeeded,
    unexpected_failure,
)

_TASK_REPORTS = (
    c.ReportTaskStarted,
    c.ReportTaskSucceeded,
    c.ReportTaskFailed,
    c.ReportTaskExpanded,
)
_TASK_REPORT_PREFIX = "ReportTask"
_WHOLE_ABORT = "flightlog.v1.AbortTask"


class _TaskFields(TypedDict):
    """The fields that all reports on tasks have."""

    node_id: str
    attempt: int
    dispatch_no: int
    runner: str
    incarnation: str
    started_at_us: int
    logs: tuple[TaskLog, ...]
    deck_uri: str


class _EndFields(_TaskFields):
    """The fields that all reports on the end of a task have."""

    ended_at_us: int


@dataclass(slots=True, kw_only=True)
class Reports:
    """Builds the reports of one incarnation of a named runner."""

    clock: Clock
    runner: str
    incarnation: str
    dead_letters: int = 0

    def started(
        self, dispatch: d.RunTask, started_at_us: int, started: Started
    ) -> Record:
        """Report that an attempt runs here: its lease is this incarnation's."""
        fields = self._task_fields(dispatch, started_at_us, started)
        report = c.ReportTaskStarted(**fields)
        return self._record(dispatch, report, "started", dispatch.dispatch_no)

    def ended(self, dispatch: d.RunTask, result: Result, started_at_us: int) -> Record:
        """Report how an attempt ended."""
        now = self.clock.now_us()
        fields: _EndFields = {
            **self._task_fields(dispatch, min(started_at_us, now), result),
            "ended_at_us": now,
        }
        report, phase = _end_report(result, fields)
        return self._record(dispatch, report, phase, dispatch.dispatch_no)

    def resolved(
        self,
        dispatch: d.ResolveInputs,
        report: c.ReportInputsResolved | c.ReportResolutionFailed,
    ) -> Record:
        """Report a node's inputs, or why they can't be resolved."""
        return self._record(dispatch, report, "resolved", 0)

    def looked_up(
        self,
        dispatch: d.LookUpCache,
        report: c.ReportCacheLookedUp | c.ReportResolutionFailed,
    ) -> Record:
        """Report what the catalog answered, or why it couldn't be asked."""
        waits = (
            isinstance(report, c.ReportCacheLookedUp)
            and report.reservation == ReservationStatus.EXISTS
        )
        return self._record(dispatch, report, "waits" if waits else "looked-up", 0)

    def gathered(
        self, dispatch: d.GatherOutputs, report: c.ReportOutputsGathered
    ) -> Record:
        """Report an array's outputs, or why they can't be gathered."""
        return self._record(dispatch, report, "gathered", 0)

    def heartbeat(self, partition: int) -> Record:
        """Report to the owner of a partition that this incarnation is alive."""
        now = self.clock.now_us()
        stream = f"runner/{self.runner}"
        report = c.Heartbeat(
            runner=self.runner, incarnation=self.incarnation, occurred_at_us=now
        )
        envelope = Envelope(
            id=f"{stream}/{self.incarnation}/{now}/{partition}",
            type=codec.type_name(report),
            stream=stream,
            actor=stream,
            recorded_at_us=now,
        )
        return Record(
            topic=topics.COMMANDS,
            key=stream,
            envelope=envelope,
            body=codec.encode(report),
            partition=partition,
        )

    def lease(self, dispatch: d.RunTask) -> Record:
        """Report that a dispatch still runs here, after nobody heard this runner."""
        report = c.ReportLease(
            node_id=dispatch.node_id,
            attempt=dispatch.attempt,
            dispatch_no=dispatch.dispatch_no,
            runner=self.runner,
            incarnation=self.incarnation,
        )
        phase = f"lease-{self.clock.now_us()}"
        return self._record(dispatch, report, phase, dispatch.dispatch_no)

    def is_addressed(self, abort: d.AbortTask) -> bool:
        """Return whether an abort of a dispatch means the run of this incarnation."""
        return (abort.runner, abort.incarnation) == (self.runner, self.incarnation)

    def failed(self, dispatch: d.Dispatch, result: Failed) -> Record:
        """Report that a dispatch, of whichever kind, failed in the runner."""
        failure = result.failure
        match dispatch:
            case d.RunTask():
                return self.ended(dispatch, result, self.clock.now_us())
            case d.ResolveInputs():
                return self.resolved(dispatch, resolution_failed(dispatch, failure))
            case d.LookUpCache():
                return self.looked_up(dispatch, resolution_failed(dispatch, failure))
            case d.GatherOutputs():
                report = c.ReportOutputsGathered(
                    node_id=dispatch.node_id, attempt=dispatch.attempt, failure=failure
                )
                return self.gathered(dispatch, report)
            case _:
                name = type(dispatch).__name__
                message = f"Expected a dispatch that is reported on, but it is {name}"
                raise TypeError(message)

    def failure_or_dead_letter(self, received: Received, error: Exception) -> Record:
        """Return the report that a dispatch failed; a dead letter of what is none."""
        try:
            dispatch = codec.decode_as(received.body, d.Dispatch)
            return self.failed(dispatch, unexpected_failure(error))
        except (codec.UndecodableMessageError, TypeError):
            return self.dead_letter(received, repr(error), with_body=False)

    def dead_letter(
        self, received: Received, error: str, *, with_body: bool = True
    ) -> Record:
        """Return the dead letter of a record that is no dispatch."""
        self.dead_letters += 1
        now_us = self.clock.now_us()
        return dead_letter_record(received, error, now_us, with_body=with_body)

    def _task_fields(
        self, dispatch: d.RunTask, started_at_us: int, found: Started | Result
    ) -> _TaskFields:
        return {
            "node_id": dispatch.node_id,
            "attempt": dispatch.attempt,
            "dispatch_no": dispatch.dispatch_no,
            "runner": self.runner,
            "incarnation": self.incarnation,
            "started_at_us": started_at_us,
            "logs": found.logs,
            "deck_uri": found.deck_uri or "",
        }

    def _record(
        self, dispatch: d.Dispatch, report: c.Command, phase: str, dispatch_no: int
    ) -> Record:
        attempt = attempt_id(dispatch.stream, dispatch.node_id, dispatch.attempt)
        return Record(
            topic=topics.COMMANDS,
            key=dispatch.stream,
            envelope=Envelope(
                id=report_id(attempt, dispatch_no, f"{phase}-{self.incarnation}"),
                type=codec.type_name(report),
                stream=dispatch.stream,
                actor=f"runner/{self.runner}",
                recorded_at_us=self.clock.now_us(),
            ),
            body=codec.encode(report),
        )


def _end_report(result: Result, fields: _EndFields) -> tuple[c.Command, str]:
    """Return the report on a result, and what its id calls it."""
    match result:
        case Succeeded():
            report = c.ReportTaskSucceeded(**fields, outputs=result.outputs)
            return report, "succeeded"
        case Expanded():
            return (
                c.ReportTaskExpanded(
                    **fields,
                    workflow=result.workflow,
                    inside=result.closure,
                    spec_uri=result.spec_uri,
                ),
                "expanded",
            )
        case Failed():
            return (
                c.ReportTaskFailed(
                    **fields,
                    failure=result.failure,
                    recoverable=result.recoverable,
                    exit_code=result.exit_code or 0,
                ),
                "failed",
            )


def resolution_failed(
    dispatch: d.ResolveInputs | d.LookUpCache, failure: Failure
) -> c.ReportResolutionFailed:
    """Return the report that a node's inputs can't be resolved, or its key not made."""
    return c.ReportResolutionFailed(
        node_id=dispatch.node_id, attempt=dispatch.attempt, failure=failure
    )


def abort_of_dispatch(received: Received) -> d.AbortTask | None:
    """Return an abort that names a dispatch; None for one of an attempt as a whole."""
    if received.envelope.type == _WHOLE_ABORT:
        return None
    try:
        abort = codec.decode(received.body)
    except codec.UndecodableMessageError:
        return None
    if isinstance(abort, d.AbortTask) and abort.names_dispatch:
        return abort
    return None


def reported_dispatch(received: Received) -> tuple[str, int] | None:
    """Return the attempt and dispatch number that a command reports on, if any.

    One that can't be decoded reports on nothing.
    """
    name = received.envelope.type.rpartition(".")[2]
    if not name.startswith(_TASK_REPORT_PREFIX):
        return None
    try:
        report = codec.decode(received.body)
    except codec.UndecodableMessageError:
        return None
    if not isinstance(report, _TASK_REPORTS):
        return None
    stream = received.envelope.stream
    return attempt_id(stream, report.node_id, report.attempt), report.dispatch_no
