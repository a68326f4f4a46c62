"""Events of nodes and of their task attempts, in the past tense.

They are released: other fields are a new version, a new meaning is a new event. Times
are microseconds since 1970, UTC.
"""

from __future__ import annotations

import msgspec

from schemas.ids import AttemptRef, CatalogKey, EntityRef, ExecutionRef
from schemas.sites import NodeSite
from schemas.values import Blob, Failure, TaskLog, Values


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What every event has."""

    occurred_at_us: int


class NodeResolving(Event, frozen=True, kw_only=True):
    """A ready node's inputs are being resolved by a runner; it isn't shown yet."""

    site: NodeSite


class NodeQueued(Event, frozen=True, kw_only=True):
    """A node is ready and its inputs are known: QUEUED."""

    site: NodeSite
    inputs: Values
    input_path: str = ""


class NodeStarted(Event, frozen=True, kw_only=True):
    """A node is RUNNING."""

    node_id: str


class BranchDecided(Event, frozen=True, kw_only=True):
    """A branch chose an arm: its id in the compiled workflow."""

    node_id: str
    chosen: str
    operands: bytes = b""


class ChildRequested(Event, frozen=True, kw_only=True):
    """A launch plan node requested its child execution.

    `spec` is the child's serialized flyteidl.admin.ExecutionSpec, `recovers` a failed
    child whose finished nodes are reused.
    """

    node_id: str
    attempt: int
    child: ExecutionRef
    launch_plan: EntityRef
    spec: bytes
    inputs: Values
    recovers: ExecutionRef | None = None


class ChildCreated(Event, frozen=True, kw_only=True):
    """The child execution of a launch plan node exists."""

    node_id: str
    attempt: int
    child: ExecutionRef


class NodeSucceeding(Event, frozen=True, kw_only=True):
    """A node's work is done, the node is SUCCEEDING."""

    node_id: str


class NodeSucceeded(Event, frozen=True, kw_only=True):
    """A node SUCCEEDED with these outputs."""

    node_id: str
    outputs: Values
    deck_uri: str = ""


class NodeFailing(Event, frozen=True, kw_only=True):
    """A node is FAILING: what runs inside it is being aborted."""

    node_id: str
    failure: Failure


class NodeFailed(Event, frozen=True, kw_only=True):
    """A node FAILED."""

    node_id: str
    failure: Failure


class NodeTimingOut(Event, frozen=True, kw_only=True):
    """A node was active for too long: what runs inside it is being aborted."""

    node_id: str
    failure: Failure


class NodeTimedOut(Event, frozen=True, kw_only=True):
    """A node TIMED_OUT; it is never retried."""

    node_id: str
    failure: Failure


class NodeRetryScheduled(Event, frozen=True, kw_only=True):
    """An attempt failed and the node may be retried: RETRYABLE_FAILURE.

    `retry_at_us` is when the next attempt begins, 0 for immediately.
    """

    node_id: str
    attempt: int
    failure: Failure
    retry_at_us: int = 0


class NodeRequeued(Event, frozen=True, kw_only=True):
    """A node is QUEUED again, with a new attempt.

    It gets `memory_factor` times the memory that the task asks for.
    """

    node_id: str
    attempt: int
    memory_factor: float = 1.0


class NodeSkipped(Event, frozen=True, kw_only=True):
    """A node will never run, because something before it didn't succeed."""

    site: NodeSite


class NodeAborted(Event, frozen=True, kw_only=True):
    """A node was ABORTED."""

    node_id: str
    failure: Failure


class TaskQueued(Event, frozen=True, kw_only=True):
    """An attempt of a task was dispatched to the runners.

    `expires_at_us` is when the node has been active for too long, if it started before;
    `start_by_us` when the attempt has waited for too long; 0 for never. `memory` is
    what the attempt gets after earlier ones ran out of it, '' for what the task asks.
    """

    node_id: str
    attempt: int
    task: EntityRef
    task_type: str
    generated_name: str
    interruptible: bool = False
    expires_at_us: int = 0
    start_by_us: int = 0
    memory: str = ""


class TaskStarted(Event, frozen=True, kw_only=True):
    """A runner started the attempt and holds its lease: RUNNING.

    `deadline_us` is when the attempt has run for too long, 0 for never. `deck_uri` is
    where its deck will be, if it writes one. `expires_at_us` is when the node has been
    active for too long, if that changes because of a lost runner, else 0.
    """

    node_id: str
    attempt: int
    dispatch_no: int
    runner: str
    incarnation: str
    started_at_us: int
    logs: tuple[TaskLog, ...] = ()
    deadline_us: int = 0
    deck_uri: str = ""
    expires_at_us: int = 0


class TaskRedispatched(Event, frozen=True, kw_only=True):
    """The attempt was dispatched again, because its runner is lost."""

    node_id: str
    attempt: int
    dispatch_no: int
    reason: str


class TaskSucceeded(Event, frozen=True, kw_only=True):
    """The attempt succeeded."""

    node_id: str
    attempt: int
    ended_at_us: int
    outputs: Values
    deck_uri: str = ""
    logs: tuple[TaskLog, ...] = ()


class TaskFailed(Event, frozen=True, kw_only=True):
    """The attempt failed; `exit_code` is its process's, negative for a signal."""

    node_id: str
    attempt: int
    ended_at_us: int
    failure: Failure
    recoverable: bool
    logs: tuple[TaskLog, ...] = ()
    exit_code: int = 0


class TaskAborted(Event, frozen=True, kw_only=True):
    """The attempt was aborted."""

    node_id: str
    attempt: int
    failure: Failure


class CacheLookupRequested(Event, frozen=True, kw_only=True):
    """A ready node's outputs are being looked up; it isn't shown yet."""

    site: NodeSite
    inputs: Values
    input_path: str


class CacheLookedUp(Event, frozen=True, kw_only=True):
    """The catalog answered: `status` is HIT, MISS or SKIPPED (ref §7).

    `source` is the attempt that produced the outputs of a hit. With `reservation`
    EXISTS another node produces the same outputs, and this one waits for them.
    """

    node_id: str
    status: str
    key: CatalogKey
    source: AttemptRef | None = None
    reservation: str = "DISABLED"


class CachePopulated(Event, frozen=True, kw_only=True):
    """A node's outputs were stored in the catalog."""

    node_id: str
    attempt: int
    key: CatalogKey
    task: EntityRef
    outputs: Values


class CachePutFailed(Event, frozen=True, kw_only=True):
    """A node's outputs can't be stored in the catalog; the node isn't affected."""

    node_id: str
    key: CatalogKey
    reason: str


class ArrayStarted(Event, frozen=True, kw_only=True):
    """An array's size is known; its only attempt is QUEUED.

    `target` is what each element runs.
    """

    node_id: str
    attempt: int
    size: int
    target: EntityRef
    generated_name: str


class ArrayGathering(Event, frozen=True, kw_only=True):
    """An array's elements have ended; a runner gathers their outputs."""

    node_id: str
    attempt: int


class GateSleeping(Event, frozen=True, kw_only=True):
    """A gate sleeps until this time."""

    node_id: str
    wakes_at_us: int


class NodeTimeLimited(Event, frozen=True, kw_only=True):
    """A node that isn't a task fails if it hasn't ended by this time."""

    node_id: str
    deadline_us: int


class NodeRecovered(Event, frozen=True, kw_only=True):
    """A node succeeded in the execution that this one recovers: RECOVERED, not run.

    What is known of the original node is repeated here: `child` is its child execution,
    `cache_status` with `catalog` and `source` the catalog's answer, '' without one.
    """

    site: NodeSite
    inputs: Values
    input_path: str
    outputs: Values
    deck_uri: str = ""
    child: ExecutionRef | None = None
    cache_status: str = ""
    catalog: CatalogKey | None = None
    source: AttemptRef | None = None


class NodeExpanded(Event, frozen=True, kw_only=True):
    """A dynamic node runs the workflow that its task returned: it is DYNAMIC_RUNNING.

    `inside` is a serialized admin.WorkflowClosure, `spec_uri` the task's
    core.DynamicJobSpec.
    """

    node_id: str
    attempt: int
    workflow: EntityRef
    inside: Blob
    spec_uri: str
