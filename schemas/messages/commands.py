"""Wishes: what somebody asks of an execution. Imperative, and may be turned down."""

from __future__ import annotations

import msgspec

from schemas.ids import AttemptRef, CatalogKey, EntityRef, ExecutionRef, ParentNode
from schemas.values import Blob, Failure, TaskLog, Values


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """What every wish is; its stream and sender stand in the envelope."""


class CreateExecution(Command, frozen=True, kw_only=True):
    """Create an execution and begin it.

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
    """Tell that a runner took an attempt up: the first report takes the lease.

    `deck_uri` is where its deck will be, if it makes one.
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
    """Tell that an attempt ended well, and where its outputs are."""

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
    """Tell that an attempt failed; a recoverable failure may be tried again.

    `exit_code` is what its process ended with, negative for a signal.
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
    """Tell that an attempt ended well, and made a workflow to be run in its place.

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


class ReportInputsResolved(Command, frozen=True, kw_only=True):
    """Tell a node's inputs, resolved outside; `operands` holds a branch's, inline.

    `size` is how many elements an array has, -1 for other nodes.
    """

    node_id: str
    attempt: int
    inputs: Values
    operands: bytes = b""
    size: int = -1


class ReportResolutionFailed(Command, frozen=True, kw_only=True):
    """Tell that a node's inputs can't be resolved."""

    node_id: str
    attempt: int
    failure: Failure


class ReportChild(Command, frozen=True, kw_only=True):
    """Tell a launch plan node what became of its child: an ExecutionPhase's name.

    QUEUED tells that the child was created; FAILED with a failure also tells that it
    was refused (`refused`).
    """

    node_id: str
    attempt: int
    child: str
    phase: str
    outputs: Values | None = None
    failure: Failure | None = None
    refused: bool = False


class ExpireLease(Command, frozen=True, kw_only=True):
    """Take an attempt away from a runner that fell silent or came back anew."""

    node_id: str
    attempt: int
    dispatch_no: int
    reason: str


class TimeReached(Command, frozen=True, kw_only=True):
    """Tell that a timer of the execution's state is due."""

    timer_id: str


class ReportCacheLookedUp(Command, frozen=True, kw_only=True):
    """Tell what the catalog answered: HIT, MISS or SKIPPED.

    A hit comes with the outputs and who made them.

    A `reservation` that EXISTS tells that somebody else makes the outputs: there will
    be another report.
    """

    node_id: str
    attempt: int
    status: str
    key: CatalogKey
    outputs: Values | None = None
    source: AttemptRef | None = None
    reservation: str = "DISABLED"


class ReportOutputsGathered(Command, frozen=True, kw_only=True):
    """Tell an array's outputs, gathered outside, or why they can't be."""

    node_id: str
    attempt: int
    outputs: Values | None = None
    failure: Failure | None = None


class RequestSignal(Command, frozen=True, kw_only=True):
    """Let a signal be known before a gate waits for it.

    `type` is a serialized flyteidl.core.LiteralType.
    """

    signal_id: str
    type: bytes


class SetSignal(Command, frozen=True, kw_only=True):
    """Give a signal its value, a serialized flyteidl.core.Literal."""

    signal_id: str
    value: bytes
    principal: str = ""


class ResumeStream(Command, frozen=True, kw_only=True):
    """Let a parked execution take commands again."""

    principal: str = ""


class DeleteExecution(Command, frozen=True, kw_only=True):
    """Delete an execution that has ended, with its blobs and its children.

    `with_parent` tells that the execution goes with the one that asked for it.
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
)


class Heartbeat(Command, frozen=True, kw_only=True):
    """Tell that a runner lives. Leaves no events; its stream is `runner/<name>`."""

    runner: str
    incarnation: str
    occurred_at_us: int


PUBLIC: tuple[type[Command], ...] = (
    CreateExecution,
    TerminateExecution,
    RequestSignal,
    SetSignal,
    ResumeStream,
    DeleteExecution,
)
"""What anybody may publish; each has a page in docs/commands."""
