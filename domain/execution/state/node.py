"""Nodes: what is known of each node of an execution that was reached."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from domain.execution.state.site import Site
from schemas.ids import CatalogKey, ExecutionRef
from schemas.phases import TERMINAL_NODE, TERMINAL_TASK, NodePhase, TaskPhase
from schemas.sites import NodeKind
from schemas.values import Blob, Failure, Values


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """Which runner, and which incarnation of it, holds an attempt."""

    runner: str
    incarnation: str


class TaskAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt of a task that was dispatched; an array has one that nobody holds.

    `dispatch_no` counts the dispatches before the one in force. `start_by_us` is when
    the attempt has waited for a runner for too long.
    """

    phase: TaskPhase = TaskPhase.QUEUED
    dispatch_no: int = 0
    lease: Lease | None = None
    start_by_us: int | None = None
    exit_code: int | None = None
    deck_uri: str = ""

    @property
    def is_open(self) -> bool:
        """Return whether the attempt is queued or runs."""
        return self.phase not in TERMINAL_TASK


class Retries(msgspec.Struct, frozen=True, kw_only=True):
    """What earlier attempts of a node mean for later ones.

    `retry_at_us` is when the next attempt begins, while the node pauses before it. The
    attempt gets `memory_factor` times the memory that the task asks for.
    """

    system_failures: int = 0
    memory_factor: float = 1.0
    retry_at_us: int | None = None


class TimeLimits(msgspec.Struct, frozen=True, kw_only=True):
    """When a node must have ended.

    `deadline_us` holds for the attempt of a task, or for a node of another kind;
    `expires_at_us` for all attempts of a task together.
    """

    deadline_us: int | None = None
    expires_at_us: int | None = None


class LookupState(StrEnum):
    """How far the look-up of a node's outputs in the catalog has come."""

    PENDING = "PENDING"
    AWAITING = "AWAITING"
    """Another node, maybe of another execution, produces the outputs."""
    MISSED = "MISSED"
    """The node produces the outputs, and stores them under the key."""


class CacheLookup(msgspec.Struct, frozen=True, kw_only=True):
    """A look-up of a node's outputs; `key` is None while it is pending."""

    state: LookupState
    key: CatalogKey | None = None


class ChildExecution(msgspec.Struct, frozen=True, kw_only=True):
    """The execution that a launch plan node requested, and whether it was created."""

    execution: ExecutionRef
    is_created: bool = False


class Array(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of an array node's elements, updated by the events of each element.

    `failed` counts all that ended without success, `failures` holds the first few by
    index. `inline_bytes` is the size of inline outputs; with `by_reference`, other
    outputs aren't inline.
    """

    size: int
    started: int = 0
    succeeded: int = 0
    failed: int = 0
    inline_bytes: int = 0
    by_reference: bool = False
    is_gathering: bool = False
    failures: tuple[tuple[int, Failure], ...] = ()

    @property
    def open(self) -> int:
        """Return how many elements have started and not ended."""
        return self.started - self.succeeded - self.failed


NO_RETRIES = Retries()
NO_LIMITS = TimeLimits()


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """One node of the execution that was reached.

    Fields are grouped by the events that change them. `attempt` counts from 0. `task`
    is the attempt in force, once dispatched. `chosen_arm` is the arm that a branch
    chose, by its id in the compiled workflow; `dynamic_closure` the compiled workflow
    that a dynamic node's task returned; `sleeps_until_us` the end of a sleep gate.
    """

    site: Site
    phase: NodePhase
    attempt: int = 0
    inputs: Values | None = None
    input_path: str = ""
    outputs: Values | None = None
    task: TaskAttempt | None = None
    retries: Retries = NO_RETRIES
    limits: TimeLimits = NO_LIMITS
    cache: CacheLookup | None = None
    child: ChildExecution | None = None
    array: Array | None = None
    dynamic_closure: Blob | None = None
    chosen_arm: str | None = None
    sleeps_until_us: int | None = None
    last_failure: Failure | None = None

    @property
    def is_terminal(self) -> bool:
        """Return whether the node has ended."""
        return self.phase in TERMINAL_NODE

    @property
    def is_scope(self) -> bool:
        """Return whether a workflow runs inside the node."""
        return self.site.kind is NodeKind.WORKFLOW or self.dynamic_closure is not None

    @property
    def awaits_outputs(self) -> bool:
        """Return whether another node produces its outputs."""
        return self.cache is not None and self.cache.state is LookupState.AWAITING

    @property
    def is_looked_up(self) -> bool:
        """Return whether an answer of the catalog is still to come."""
        if self.cache is None or self.cache.state is LookupState.MISSED:
            return False
        return self.phase in _BEFORE_TASK


_BEFORE_TASK = frozenset({NodePhase.NOT_YET_STARTED, NodePhase.QUEUED})
