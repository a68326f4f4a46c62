"""Commands to executions, in the imperative; each may be rejected."""

from __future__ import annotations

import msgspec

from schemas.ids import AttemptRef, CatalogKey, EntityRef, ExecutionRef, ParentNode
from schemas.values import Blob, Failure, TaskLog, Values


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """What every command is; the envelope has its stream and its sender."""


class CreateExecution(Command, frozen=True, kw_only=True):
    """Create an execution and start it.

    `spec` is a serialized flyteidl.admin.ExecutionSpec with all further settings.
    Inputs come as one of: LiteralMap bytes, JSON text, or the URI of a LiteralMap.
    With `recovers`, nodes that succeeded in that execution aren't run again.
    """

    project: str
    domain: str
    name: str
    launch_plan: EntityRef
    spec: bytes = b""
    inputs: bytes | None = None
    inputs_json: str | None = None
    inputs_uri: str | None = None
    parent: ParentNode | None = None
    requested_at_us: int = 0
    recovers: ExecutionRef | None = None


class TerminateExecution(Command, frozen=True, kw_only=True):
    """Abort an execution and everything that runs for it."""

    cause: str
    principal: str = ""


class ReportTaskStarted(Command, frozen=True, kw_only=True):
    """Report that a runner has started an attempt: the first report gets the lease.

    `deck_uri` is where its deck will be, if it writes one.
    """

    node_id: str
    attempt: int
    dispatch_no: int
    runner: str
    incarnation: str
    started_at_us: int
    logs: tuple[TaskLog, ...] = ()
    deck_uri: str = ""


class ReportTaskSucceeded(Command, frozen=True, kw_only=True):
    """Report that an attempt succeeded, and its outputs."""

    node_id: str
    attempt: int
    dispatch_no: int
    runner: str
    incarnation: str
    started_at_us: int
    ended_at_us: int
    outputs: Values
    deck_uri: str = ""
    logs: tuple[TaskLog, ...] = ()


class ReportTaskFailed(Command, frozen=True, kw_only=True):
    """Report that an attempt failed; a recoverable failure may be retried.

    `exit_code` is that of its process, negative for a signal.
    """

    node_id: str
    attempt: int
    dispatch_no: int
    runner: str
    incarnation: str
    started_at_us: int
    ended_at_us: int
    failure: Failure
    recoverable: bool
    logs: tuple[TaskLog, ...] = ()
    deck_uri: str = ""
    exit_code: int = 0


class ReportTaskExpanded(Command, frozen=True, kw_only=True):
    """Report that an attempt succeeded and returned a workflow to run in its place.

    `inside` is a serialized admin.WorkflowClosure of the compiled `workflow`;
    `spec_uri` is where the task put its core.DynamicJobSpec.
    """

    node_id: str
    attempt: int
    dispatch_no: int
    runner: str
    incarnation: str
    started_at_us: int
    ended_at_us: int
    workflow: EntityRef
    inside: Blob
    spec_uri: str
    logs: tuple[TaskLog, ...] = ()
    deck_uri: str = ""


class ReportLease(Command, frozen=True, kw_only=True):
    """Report that a runner still runs an attempt, after nobody heard it for a while.

    It has no events: a lease that was lost is answered by an abort of that dispatch.
    """

    node_id: str
    attempt: int
    dispatch_no: int
    runner: str
    incarnation: str


class ReportInputsResolved(Command, frozen=True, kw_only=True):
    """Report a node's resolved inputs; `operands` holds those that a branch compares.

    `size` is how many elements an array has, -1 for other nodes.
    """

    node_id: str
    attempt: int
    inputs: Values
    operands: bytes = b""
    size: int = -1


class ReportResolutionFailed(Command, frozen=True, kw_only=True):
    """Report that a node's inputs can't be resolved."""

    node_id: str
    attempt: int
    failure: Failure


class ReportChild(Command, frozen=True, kw_only=True):
    """Report to a launch plan node how its child is: `phase` is an ExecutionPhase.

    QUEUED means that the child was created. A child whose creation was rejected is
    reported as FAILED, with `refused`.
    """

    node_id: str
    attempt: int
    child: str
    phase: str
    outputs: Values | None = None
    failure: Failure | None = None
    refused: bool = False


class ExpireLease(Command, frozen=True, kw_only=True):
    """Take an attempt from a runner that sends no heartbeats, or was restarted."""

    node_id: str
    attempt: int
    dispatch_no: int
    reason: str


class TimeReached(Command, frozen=True, kw_only=True):
    """Report that a timer of the execution is due."""

    timer_id: str


class ReportCacheLookedUp(Command, frozen=True, kw_only=True):
    """Report the catalog's answer: HIT, MISS or SKIPPED.

    A hit comes with the outputs and the attempt that produced them.

    A `reservation` that EXISTS means that another node produces the outputs: another
    report follows.
    """

    node_id: str
    attempt: int
    status: str
    key: CatalogKey
    outputs: Values | None = None
    source: AttemptRef | None = None
    reservation: str = "DISABLED"


class ReportOutputsGathered(Command, frozen=True, kw_only=True):
    """Report an array's gathered outputs, or why they can't be gathered."""

    node_id: str
    attempt: int
    outputs: Values | None = None
    failure: Failure | None = None


class RequestSignal(Command, frozen=True, kw_only=True):
    """Add a signal before a gate waits for it.

    `type` is a serialized flyteidl.core.LiteralType.
    """

    signal_id: str
    type: bytes


class SetSignal(Command, frozen=True, kw_only=True):
    """Set a signal's value, a serialized flyteidl.core.Literal."""

    signal_id: str
    value: bytes
    principal: str = ""


class ResumeStream(Command, frozen=True, kw_only=True):
    """Let a parked execution accept commands again."""

    principal: str = ""


class DeleteExecution(Command, frozen=True, kw_only=True):
    """Delete an execution that has ended, with its blobs and its children.

    With `with_parent` a child is deleted together with its parent.
    """

    principal: str = ""
    with_parent: bool = False


ExecutionCommand = (
    CreateExecution
    | TerminateExecution
    | ReportTaskStarted
    | ReportTaskSucceeded
    | ReportTaskFailed
    | ReportInputsResolved
    | ReportResolutionFailed
    | ReportChild
    | ExpireLease
    | TimeReached
    | ReportCacheLookedUp
    | ReportOutputsGathered
    | RequestSignal
    | SetSignal
    | ResumeStream
    | DeleteExecution
    | ReportTaskExpanded
    | ReportLease
)


class Heartbeat(Command, frozen=True, kw_only=True):
    """Report that a runner is alive. It has no events; its stream is `runner/NAME`."""

    runner: str
    incarnation: str
    occurred_at_us: int


class Tick(Command, frozen=True, kw_only=True):
    """Report to the owner of a partition, from itself, how far it has read.

    It has no events. `owner` is one ownership of the partition; `number` counts its
    ticks from 1.
    """

    owner: str
    number: int


PUBLIC: tuple[type[Command], ...] = (
    CreateExecution,
    TerminateExecution,
    RequestSignal,
    SetSignal,
    ResumeStream,
    DeleteExecution,
)
"""Commands that clients may publish; each has a page in docs/commands."""
