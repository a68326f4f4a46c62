"""State: what deciding about an execution must know, and no more."""

from __future__ import annotations

import msgspec
from immutables import Map

from domain.execution.state.node import Node
from schemas.messages.execution_events import ExecutionCreated, StreamParked
from schemas.phases import TERMINAL_EXECUTION, ExecutionPhase
from schemas.values import Failure, Values


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """A known signal: a serialized core.LiteralType and, once set, core.Literal."""

    type: bytes
    value: bytes | None = None


class ScopeFailure(msgspec.Struct, frozen=True, kw_only=True):
    """The last failure within a workflow, and the node that it comes from."""

    failure: Failure
    node_id: str


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """One execution, folded from its events. Setting a node costs O(1).

    `active` holds the ids of nodes that have not ended; `slots` counts those of them
    that max_parallelism limits. `failures` holds the last failure of each scope.
    `parked` says why no commands are accepted. Only an ended execution is deleted.
    """

    created: ExecutionCreated | None = None
    phase: ExecutionPhase = ExecutionPhase.UNDEFINED
    nodes: Map[str, Node] = Map()
    active: Map[str, None] = Map()
    slots: int = 0
    failures: Map[str, ScopeFailure] = Map()
    signals: Map[str, Signal] = Map()
    outputs: Values | None = None
    failure: Failure | None = None
    deadline_us: int | None = None
    parked: StreamParked | None = None
    is_deleted: bool = False

    @property
    def is_terminal(self) -> bool:
        """Return whether the execution has ended."""
        return self.phase in TERMINAL_EXECUTION
