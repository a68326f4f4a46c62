"""What a runner says: commands on what became of its dispatches, as records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from infra.clock import Clock
from infra.eventlog.contract import Received, Record
from schemas import topics
from schemas.envelope import Envelope
from schemas.ids import attempt_id, report_id
from schemas.messages import commands as c
from schemas.messages import dispatches as d
from schemas.wire import codec
from workers.dead_letters import dead_letter_record
from workers.plugins.plugin import Begun, Expanded, Failed, Result


@dataclass(slots=True, kw_only=True)
class Reports:
    """Words of one incarnation of a named runner."""

    clock: Clock
    runner: str
    incarnation: str
    dead_letters: int = 0

    def started(self, dispatch: d.RunTask, started_at_us: int, begun: Begun) -> Record:
        """Tell that an attempt runs here: this takes its lease."""
        report = c.ReportTaskStarted(
            **self._where(dispatch),
            started_at_us=started_at_us,
            logs=begun.logs,
            deck_uri=begun.deck_uri,
        )
        return self._record(dispatch, report, "started", dispatch.dispatch_no)

    def ended(self, dispatch: d.RunTask, result: Result, started_at_us: int) -> Record:
        """Tell how an attempt ended."""
        now = self.clock.now_us()
        when: dict[str, Any] = {
            "started_at_us": min(started_at_us, now),
            "ended_at_us": now,
            "logs": result.logs,
        }
        report: c.ReportTaskSucceeded | c.ReportTaskFailed | c.ReportTaskExpanded
        if isinstance(result, Expanded):
            report, phase = (
                c.ReportTaskExpanded(
                    **self._where(dispatch),
                    **when,
                    workflow=result.workflow,
                    inside=result.inside,
                    spec_uri=result.spec_uri,
                    deck_uri=result.deck_uri,
                ),
                "expanded",
            )
        elif isinstance(result, Failed):
            report, phase = (
                c.ReportTaskFailed(
                    **self._where(dispatch),
                    **when,
                    failure=result.failure,
                    recoverable=result.recoverable,
                    deck_uri=result.deck_uri,
                    exit_code=result.exit_code,
                ),
                "failed",
            )
        else:
            report, phase = (
                c.ReportTaskSucceeded(
                    **self._where(dispatch),
                    **when,
                    outputs=result.outputs,
                    deck_uri=result.deck_uri,
                ),
                "succeeded",
            )
        return self._record(dispatch, report, phase, dispatch.dispatch_no)

    def resolved(
        self,
        dispatch: d.ResolveInputs,
        report: c.ReportInputsResolved | c.ReportResolutionFailed,
    ) -> Record:
        """Tell a node's inputs, or why it has none."""
        return self._record(dispatch, report, "resolved", 0)

    def looked_up(
        self,
        dispatch: d.LookUpCache,
        report: c.ReportCacheLookedUp | c.ReportResolutionFailed,
    ) -> Record:
        """Tell what the catalog answered, or why it couldn't be asked."""
        waits = getattr(report, "reservation", "") == "EXISTS"
        return self._record(dispatch, report, "waits" if waits else "looked-up", 0)

    def gathered(
        self, dispatch: d.GatherOutputs, report: c.ReportOutputsGathered
    ) -> Record:
        """Tell an array's outputs, or why it has none."""
        return self._record(dispatch, report, "gathered", 0)

    def heartbeat(self, partition: int) -> Record:
        """Tell the owner of a partition that this incarnation lives."""
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

    def dead_letter(self, received: Received, error: str) -> Sequence[Record]:
        """Put aside a dispatch that nobody can read."""
        self.dead_letters += 1
        return (dead_letter_record(received, error, self.clock.now_us()),)

    def _where(self, dispatch: d.RunTask) -> dict[str, Any]:
        return {
            "node_id": dispatch.node_id,
            "attempt": dispatch.attempt,
            "dispatch_no": dispatch.dispatch_no,
            "runner": self.runner,
            "incarnation": self.incarnation,
        }

    def _record(
        self, dispatch: d.Dispatch, report: c.Command, phase: str, dispatch_no: int
    ) -> Record:
        key = attempt_id(dispatch.stream, dispatch.node_id, dispatch.attempt)
        return Record(
            topic=topics.COMMANDS,
            key=dispatch.stream,
            envelope=Envelope(
                id=report_id(key, dispatch_no, f"{phase}-{self.incarnation}"),
                type=codec.type_name(report),
                stream=dispatch.stream,
                actor=f"runner/{self.runner}",
                recorded_at_us=self.clock.now_us(),
            ),
            body=codec.encode(report),
        )


def work_reported(received: Received) -> tuple[str, int] | None:
    """Return the attempt and dispatch that a record on the log reports on, if any."""
    name = received.envelope.type.rpartition(".")[2]
    if not name.startswith(_REPORT_PREFIX):
        return None
    report = codec.decode(received.body)
    if not isinstance(report, _TASK_REPORTS):
        return None
    stream = received.envelope.stream
    return attempt_id(stream, report.node_id, report.attempt), report.dispatch_no


_TASK_REPORTS = (
    c.ReportTaskStarted,
    c.ReportTaskSucceeded,
    c.ReportTaskFailed,
    c.ReportTaskExpanded,
)
_REPORT_PREFIX = "ReportTask"
