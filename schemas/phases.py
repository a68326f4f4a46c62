"""Phases of executions, nodes and attempts, and how the API shows each."""

from __future__ import annotations

from enum import StrEnum


class ExecutionPhase(StrEnum):
    """The phase of an execution."""

    UNDEFINED = "UNDEFINED"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDING = "SUCCEEDING"
    SUCCEEDED = "SUCCEEDED"
    FAILING = "FAILING"
    FAILED = "FAILED"
    ABORTING = "ABORTING"
    ABORTED = "ABORTED"
    TIMED_OUT = "TIMED_OUT"


class NodePhase(StrEnum):
    """The phase of a node."""

    NOT_YET_STARTED = "NOT_YET_STARTED"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDING = "SUCCEEDING"
    SUCCEEDED = "SUCCEEDED"
    FAILING = "FAILING"
    FAILED = "FAILED"
    TIMING_OUT = "TIMING_OUT"
    TIMED_OUT = "TIMED_OUT"
    RETRYABLE_FAILURE = "RETRYABLE_FAILURE"
    DYNAMIC_RUNNING = "DYNAMIC_RUNNING"
    SKIPPED = "SKIPPED"
    RECOVERED = "RECOVERED"
    ABORTED = "ABORTED"


class TaskPhase(StrEnum):
    """The phase of an attempt of a task."""

    UNDEFINED = "UNDEFINED"
    WAITING_FOR_RESOURCES = "WAITING_FOR_RESOURCES"
    QUEUED = "QUEUED"
    INITIALIZING = "INITIALIZING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    ABORTED = "ABORTED"


class CacheStatus(StrEnum):
    """What the catalog did for a node, by flyteidl's names (CatalogCacheStatus)."""

    HIT = "HIT"
    MISS = "MISS"
    SKIPPED = "SKIPPED"
    POPULATED = "POPULATED"
    PUT_FAILURE = "PUT_FAILURE"


class ReservationStatus(StrEnum):
    """Who produces missing outputs, by flyteidl's names (CatalogReservation.Status)."""

    DISABLED = "DISABLED"
    ACQUIRED = "ACQUIRED"
    EXISTS = "EXISTS"


TERMINAL_EXECUTION = frozenset(
    {
        ExecutionPhase.SUCCEEDED,
        ExecutionPhase.FAILED,
        ExecutionPhase.ABORTED,
        ExecutionPhase.TIMED_OUT,
    }
)
TERMINAL_NODE = frozenset(
    {
        NodePhase.SUCCEEDED,
        NodePhase.FAILED,
        NodePhase.TIMED_OUT,
        NodePhase.SKIPPED,
        NodePhase.RECOVERED,
        NodePhase.ABORTED,
    }
)
SUCCESSES = frozenset({NodePhase.SUCCEEDED, NodePhase.RECOVERED})
TERMINAL_TASK = frozenset({TaskPhase.SUCCEEDED, TaskPhase.FAILED, TaskPhase.ABORTED})

EXECUTION_MOVES: dict[ExecutionPhase, frozenset[ExecutionPhase]] = {
    ExecutionPhase.UNDEFINED: frozenset({ExecutionPhase.QUEUED}),
    ExecutionPhase.QUEUED: frozenset(
        {ExecutionPhase.RUNNING, ExecutionPhase.FAILING, ExecutionPhase.ABORTING}
    ),
    ExecutionPhase.RUNNING: frozenset(
        {
            ExecutionPhase.SUCCEEDING,
            ExecutionPhase.FAILING,
            ExecutionPhase.ABORTING,
            ExecutionPhase.TIMED_OUT,
        }
    ),
    ExecutionPhase.SUCCEEDING: frozenset(
        {ExecutionPhase.SUCCEEDED, ExecutionPhase.FAILING, ExecutionPhase.ABORTING}
    ),
    ExecutionPhase.FAILING: frozenset(
        {ExecutionPhase.FAILED, ExecutionPhase.ABORTING, ExecutionPhase.TIMED_OUT}
    ),
    ExecutionPhase.ABORTING: frozenset({ExecutionPhase.ABORTED}),
    ExecutionPhase.SUCCEEDED: frozenset(),
    ExecutionPhase.FAILED: frozenset(),
    ExecutionPhase.ABORTED: frozenset(),
    ExecutionPhase.TIMED_OUT: frozenset(),
}

_ENDINGS = frozenset({NodePhase.FAILING, NodePhase.FAILED, NodePhase.ABORTED})

NODE_MOVES: dict[NodePhase, frozenset[NodePhase]] = {
    NodePhase.NOT_YET_STARTED: frozenset(
        {NodePhase.QUEUED, NodePhase.SKIPPED, NodePhase.RECOVERED} | _ENDINGS
    ),
    NodePhase.QUEUED: frozenset(
        {
            NodePhase.RUNNING,
            NodePhase.SUCCEEDING,
            NodePhase.SUCCEEDED,
            NodePhase.TIMING_OUT,
            NodePhase.RETRYABLE_FAILURE,
        }
        | _ENDINGS
    ),
    NodePhase.RUNNING: frozenset(
        {
            NodePhase.SUCCEEDING,
            NodePhase.TIMING_OUT,
            NodePhase.RETRYABLE_FAILURE,
            NodePhase.DYNAMIC_RUNNING,
        }
        | _ENDINGS
    ),
    NodePhase.DYNAMIC_RUNNING: frozenset(
        {NodePhase.SUCCEEDING, NodePhase.TIMING_OUT, NodePhase.RETRYABLE_FAILURE}
        | _ENDINGS
    ),
    NodePhase.RETRYABLE_FAILURE: frozenset({NodePhase.QUEUED} | _ENDINGS),
    NodePhase.SUCCEEDING: frozenset({NodePhase.SUCCEEDED} | _ENDINGS),
    NodePhase.FAILING: frozenset({NodePhase.FAILED, NodePhase.ABORTED}),
    NodePhase.TIMING_OUT: frozenset({NodePhase.TIMED_OUT, NodePhase.ABORTED}),
    **{phase: frozenset[NodePhase]() for phase in TERMINAL_NODE},
}

SHOWN_NODE: dict[NodePhase, str | None] = {
    NodePhase.NOT_YET_STARTED: None,
    NodePhase.QUEUED: "QUEUED",
    NodePhase.RUNNING: "RUNNING",
    NodePhase.SUCCEEDING: None,
    NodePhase.SUCCEEDED: "SUCCEEDED",
    NodePhase.FAILING: None,
    NodePhase.FAILED: "FAILED",
    NodePhase.TIMING_OUT: None,
    NodePhase.TIMED_OUT: "TIMED_OUT",
    NodePhase.RETRYABLE_FAILURE: None,
    NodePhase.DYNAMIC_RUNNING: "DYNAMIC_RUNNING",
    NodePhase.SKIPPED: "SKIPPED",
    NodePhase.RECOVERED: "RECOVERED",
    NodePhase.ABORTED: "ABORTED",
}
"""The name by which the API shows a phase, flyteidl's; None where it doesn't."""
