"""State: what deciding about an execution must know, and no more."""

from __future__ import annotations

import msgspec
from immutables import Map

from schemas.ids import CatalogKey
from schemas.messages.execution_events import ExecutionCreated, StreamParked
from schemas.phases import (
    TERMINAL_EXECUTION,
    TERMINAL_NODE,
    ExecutionPhase,
    NodePhase,
    TaskPhase,
)
from schemas.sites import NodeSite
from schemas.values import Blob, Failure, Values


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """Which dispatch of an attempt is in force, and which runner holds it."""

    dispatch_no: int = 0
    runner: str = ""
    incarnation: str = ""


class Array(msgspec.Struct, frozen=True, kw_only=True):
    """How far an array node's elements have come; brought forward by each one's events.

    `failed` counts all that ended otherwise than well, `failures` holds the first few.
    `inline_bytes` sums outputs that are inline, `by_reference` tells that some aren't.
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
        """Return how many elements are under way."""
        return self.started - self.succeeded - self.failed


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """A signal that is known: its LiteralType and, once set, its Literal, as bytes."""

    type: bytes
    value: bytes | None = None


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """One node of the execution that was reached.

    `inside` is the compiled workflow that its task made, if it is dynamic, `deck_uri`
    where the deck of that task is.
    `catalog` is where its outputs will be kept; `awaits_outputs` tells that another
    node, maybe of another execution, is making them.
    """

    site: NodeSite
    phase: NodePhase
    attempt: int = 0
    system_failures: int = 0
    inputs: Values | None = None
    outputs: Values | None = None
    input_path: str = ""
    task: TaskPhase | None = None
    lease: Lease = Lease()
    deadline_us: int = 0
    expires_at_us: int = 0
    wakes_at_us: int = 0
    start_by_us: int = 0
    memory_factor: float = 1.0
    exit_code: int = 0
    chosen: str = ""
    child: str = ""
    child_exists: bool = False
    last_failure: Failure | None = None
    catalog: CatalogKey | None = None
    awaits_outputs: bool = False
    array: Array | None = None
    inside: Blob | None = None
    deck_uri: str = ""

    @property
    def is_terminal(self) -> bool:
        """Tell whether the node has ended."""
        return self.phase in TERMINAL_NODE

    @property
    def is_scope(self) -> bool:
        """Tell whether a workflow runs inside the node."""
        return self.site.kind == "workflow" or self.inside is not None

    @property
    def is_looked_up(self) -> bool:
        """Tell whether its outputs are being looked up in the catalog."""
        asked = self.phase is NodePhase.NOT_YET_STARTED and self.inputs is not None
        return asked or (self.phase is NodePhase.QUEUED and self.awaits_outputs)


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """One execution, as its own events tell it. Setting a node costs O(1).

    `active` holds the ids of nodes that have not ended, `slots` counts those of them
    that max_parallelism counts. `failures` holds the last failure of each scope,
    `failed_nodes` the node whose it is. `parked` says why it takes no commands. A
    deleted one had ended before.
    """

    created: ExecutionCreated | None = None
    phase: ExecutionPhase = ExecutionPhase.UNDEFINED
    nodes: Map[str, Node] = Map()
    active: Map[str, None] = Map()
    slots: int = 0
    failures: Map[str, Failure] = Map()
    failed_nodes: Map[str, str] = Map()
    signals: Map[str, Signal] = Map()
    outputs: Values | None = None
    failure: Failure | None = None
    deadline_us: int = 0
    parked: StreamParked | None = None
    is_deleted: bool = False

    @property
    def is_terminal(self) -> bool:
        """Tell whether the execution has ended."""
        return self.phase in TERMINAL_EXECUTION
