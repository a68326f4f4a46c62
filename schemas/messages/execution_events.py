"""Events of executions themselves, and the union of all events of their streams.

They are released: other fields are a new version, a new meaning is a new event. Times
are microseconds since 1970, UTC.
"""

from __future__ import annotations

from schemas.ids import EntityRef, ExecutionRef, ParentNode
from schemas.messages import node_events
from schemas.messages.node_events import Event
from schemas.values import Blob, Failure, Values


class ExecutionCreated(Event, frozen=True, kw_only=True):
    """An execution was admitted, with all its settings resolved; it is QUEUED.

    `spec` is the resolved flyteidl.admin.ExecutionSpec; `definition` the compiled
    closure; `inputs` the merged inputs, `user_inputs` what the request gave.
    `created_by` is the id of the command, `root` the stream of the outermost parent.
    `recovers` is the execution whose nodes that succeeded aren't run again. By `rules`
    its ids and paths are derived: 1 are those of executions that began at level 1.
    """

    execution: ExecutionRef
    launch_plan: EntityRef
    workflow: EntityRef
    task: EntityRef | None
    spec: bytes
    inputs: Values
    user_inputs: Values
    definition: Blob
    principal: str
    max_parallelism: int
    parent: ParentNode | None = None
    root: str = ""
    created_by: str = ""
    recovers: ExecutionRef | None = None
    rules: int = 0


class ExecutionStarted(Event, frozen=True, kw_only=True):
    """The execution is RUNNING."""


class ExecutionSucceeding(Event, frozen=True, kw_only=True):
    """Every node is done, the execution is SUCCEEDING."""


class ExecutionSucceeded(Event, frozen=True, kw_only=True):
    """The execution SUCCEEDED with these outputs."""

    outputs: Values


class ExecutionFailing(Event, frozen=True, kw_only=True):
    """The execution is FAILING: what still runs is being aborted."""

    failure: Failure


class ExecutionFailed(Event, frozen=True, kw_only=True):
    """The execution FAILED."""

    failure: Failure


class ExecutionAborting(Event, frozen=True, kw_only=True):
    """The execution was terminated: what still runs is being aborted."""

    cause: str
    principal: str


class ExecutionAborted(Event, frozen=True, kw_only=True):
    """The execution is ABORTED."""

    cause: str
    principal: str


class ExecutionTimedOut(Event, frozen=True, kw_only=True):
    """The execution TIMED_OUT."""

    failure: Failure


class SignalRequested(Event, frozen=True, kw_only=True):
    """A signal was requested, of a serialized core.LiteralType.

    `node_id` is the gate that waits for it, '' if a client requested it.
    """

    node_id: str
    signal_id: str
    type: bytes


class SignalSet(Event, frozen=True, kw_only=True):
    """A signal was set to a serialized flyteidl.core.Literal; the last value counts."""

    signal_id: str
    value: bytes
    principal: str


class StreamParked(Event, frozen=True, kw_only=True):
    """A command of the stream can't be handled: it accepts no others until it resumes.

    That command and all later ones become dead letters.
    """

    command_id: str
    command_type: str
    error: str


class StreamResumed(Event, frozen=True, kw_only=True):
    """A parked stream accepts commands again."""

    principal: str


class ExecutionDeleted(Event, frozen=True, kw_only=True):
    """An ended execution was deleted, from the read models too; its blobs are removed.

    `phase` is how it had ended. Its events stay, and its name can't be used again.
    """

    principal: str
    phase: str


class ExecutionTimeLimited(Event, frozen=True, kw_only=True):
    """The execution times out if it hasn't ended by this time."""

    deadline_us: int


ExecutionEvent = (
    ExecutionCreated
    | ExecutionStarted
    | ExecutionSucceeding
    | ExecutionSucceeded
    | ExecutionFailing
    | ExecutionFailed
    | ExecutionAborting
    | ExecutionAborted
    | ExecutionTimedOut
    | node_events.NodeResolving
    | node_events.NodeQueued
    | node_events.NodeStarted
    | node_events.BranchDecided
    | node_events.ChildRequested
    | node_events.ChildCreated
    | node_events.NodeSucceeding
    | node_events.NodeSucceeded
    | node_events.NodeFailing
    | node_events.NodeFailed
    | node_events.NodeTimingOut
    | node_events.NodeTimedOut
    | node_events.NodeRetryScheduled
    | node_events.NodeRequeued
    | node_events.NodeSkipped
    | node_events.NodeAborted
    | node_events.TaskQueued
    | node_events.TaskStarted
    | node_events.TaskRedispatched
    | node_events.TaskSucceeded
    | node_events.TaskFailed
    | node_events.TaskAborted
    | node_events.CacheLookupRequested
    | node_events.CacheLookedUp
    | node_events.CachePopulated
    | node_events.CachePutFailed
    | node_events.ArrayStarted
    | node_events.ArrayGathering
    | SignalRequested
    | SignalSet
    | node_events.GateSleeping
    | node_events.NodeTimeLimited
    | StreamParked
    | StreamResumed
    | node_events.NodeRecovered
    | ExecutionDeleted
    | node_events.NodeExpanded
    | ExecutionTimeLimited
)
