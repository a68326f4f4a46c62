"""What a decision on an execution is given: time, the compiled graph, limits."""

from __future__ import annotations

from dataclasses import dataclass

from domain.execution.state.frontier import Frontier
from domain.execution.state.saved_nodes import NOTHING_SAVED, Recovery
from domain.graph import Definition
from schemas.levels import FORMAT_LEVEL
from schemas.messages.execution_events import ExecutionCreated
from schemas.messages.rejections import Reason, Rejected

NOT_ADMITTED = Rejected(
    Reason.INTERNAL,
    "Expected the execution to be admitted before it is created, but it wasn't",
)


@dataclass(frozen=True, slots=True)
class Limits:
    """Budgets of the engine (ref §4.5, §13.3)."""

    system_retries: int = 3
    redispatches: int = 20
    inline_bytes: int = 16_384
    inline_budget: int = 16 * 2**20
    array_elements: int = 250
    execution_timeout_us: int | None = None
    system_backoff_us: int = 0
    user_backoff_us: int = 0
    backoff_max_us: int = 60_000_000
    memory_factor: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Everything a decision may use beyond command and state.

    `admission` is the event that begins the execution that a CreateExecution asks for,
    or why it may not begin. `recovery` is what the execution that it recovers saved.
    `inline_outputs` are the bytes of outputs that the state held inline before the
    decision: what follows from its events may still be sent as if they added none.
    No message or field of a level above `format_level` may follow from a decision.
    """

    now_us: int
    command_id: str = ""
    stream: str = ""
    definition: Definition | None = None
    frontier: Frontier | None = None
    admission: ExecutionCreated | Rejected = NOT_ADMITTED
    recovery: Recovery = NOTHING_SAVED
    inline_outputs: int = 0
    limits: Limits = Limits()
    format_level: int = FORMAT_LEVEL
