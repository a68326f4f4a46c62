"""Executions as a kind of stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import get_args

import msgspec

from domain.execution.context import Context, Limits
from domain.execution.decide import execution
from domain.execution.react import (
    react_to_failure,
    react_to_rejection,
    react_without_events,
    requests,
)
from domain.execution.state import inline_outputs, snapshot_chunks
from domain.execution.state.advance import advance
from domain.execution.state.frontier import Frontier
from domain.execution.state.saved_nodes import NOTHING_SAVED, Recovery
from domain.execution.state.snapshot_chunks import Layout
from domain.execution.state.state import Execution
from domain.execution.state.timers import execution_timer, node_timers, timers_of
from domain.graph import Definition
from schemas.ids import ExecutionRef, execution_stream
from schemas.messages import commands as c
from schemas.messages import execution_events as e
from schemas.messages import node_events as ne
from schemas.phases import TERMINAL_EXECUTION
from workers.propeller.kinds.contract import (
    INTERNAL_COMMANDS,
    CommandMetadata,
    StreamKind,
    StreamState,
)
from workers.propeller.kinds.execution_audit import AUDIT
from workers.propeller.kinds.execution_closing import CLOSING
from workers.propeller.kinds.execution_description import describe, to_json
from workers.propeller.kinds.rules import (
    Lease,
    LeaseRules,
    SnapshotFormat,
    Timer,
    TimerRules,
)

PREFIX = "execution"

DYNAMIC_CLOSURE_ENDS = (
    ne.NodeSucceeded,
    ne.NodeFailed,
    ne.NodeTimedOut,
    ne.NodeAborted,
    ne.NodeRetryScheduled,
)
"""Events after which the closure that a dynamic node's task generated isn't needed."""


class LoadedExecution(msgspec.Struct, frozen=True, kw_only=True):
    """An execution's graph with its frontier, and what it recovers.

    Without a definition it isn't loaded, or there is no execution.
    """

    definition: Definition | None = None
    frontier: Frontier = msgspec.field(default_factory=Frontier)
    inline_outputs: int = 0
    recovery: Recovery = NOTHING_SAVED
    limits: Limits = Limits()

    @property
    def is_complete(self) -> bool:
        """Return whether the loader has nothing to add."""
        return self.definition is not None

    def after(self, event: e.ExecutionEvent, state: Execution) -> LoadedExecution:
        """Return it as of one more event; `state` is the state after that."""
        definition = self.definition
        if definition is None:
            return self
        frontier, _ = advance(self.frontier, definition, state, event)
        if isinstance(event, DYNAMIC_CLOSURE_ENDS):
            definition = definition.without_dynamic_closure(event.node_id)
        return LoadedExecution(
            definition=definition,
            frontier=frontier,
            inline_outputs=self.inline_outputs + inline_outputs.added(event),
            recovery=self.recovery,
            limits=self.limits,
        )

    def context(self, metadata: CommandMetadata) -> Context:
        """Return the context of a decision."""
        return Context(
            now_us=metadata.now_us,
            command_id=metadata.command_id,
            stream=metadata.stream,
            definition=self.definition,
            frontier=self.frontier,
            inline_outputs=self.inline_outputs,
            recovery=self.recovery,
            limits=self.limits,
            format_level=metadata.format_level,
        )


ExecutionKind = StreamKind[c.ExecutionCommand, e.ExecutionEvent, Execution, Context]
ExecutionStream = StreamState[c.ExecutionCommand, e.ExecutionEvent, Execution, Context]


def _target(command: c.ExecutionCommand) -> str | None:
    """Return the stream of the execution that a creation names."""
    if not isinstance(command, c.CreateExecution):
        return None
    return execution_stream(
        ExecutionRef(project=command.project, domain=command.domain, name=command.name)
    )


def _timers_after(event: e.ExecutionEvent, state: Execution) -> Sequence[Timer]:
    if isinstance(event, e.ExecutionTimeLimited):
        timer = execution_timer(state)
        return () if timer is None else (Timer(timer.due_us, timer.id),)
    node = state.nodes.get(getattr(event, "node_id", ""))
    if node is None:
        return ()
    return [Timer(timer.due_us, timer.id) for timer in node_timers(node)]


def _timers(state: Execution) -> Iterator[Timer]:
    for timer in timers_of(state):
        yield Timer(timer.due_us, timer.id)


def _lease_change(event: e.ExecutionEvent) -> Lease | None:
    match event:
        case ne.TaskStarted() if event.runner:
            return Lease(
                event.node_id,
                event.attempt,
                event.dispatch_no,
                event.runner,
                event.incarnation,
            )
        case (
            ne.TaskSucceeded()
            | ne.TaskFailed()
            | ne.TaskAborted()
            | ne.TaskRedispatched()
        ):
            return Lease(event.node_id, event.attempt)
        case _:
            return None


def _leases(state: Execution) -> Iterator[Lease]:
    """Yield the leases in force; an array's own attempt has none."""
    for node_id in state.active:
        node = state.nodes[node_id]
        task = node.task
        if task is not None and task.is_open and task.lease is not None:
            yield Lease(
                node_id,
                node.attempt,
                task.dispatch_no,
                task.lease.runner,
                task.lease.incarnation,
            )


SNAPSHOTS: SnapshotFormat[Execution, Layout] = SnapshotFormat(
    name=snapshot_chunks.snapshot_format,
    empty=Layout(),
    encode_chunks=snapshot_chunks.encode_chunks,
    encode_head=snapshot_chunks.encode_head,
    decode=snapshot_chunks.decode_chunks,
)

EXECUTIONS: ExecutionKind = StreamKind(
    prefix=PREFIX,
    id_form="execution/PROJECT/DOMAIN/NAME",
    commands=frozenset(get_args(c.ExecutionCommand)) - INTERNAL_COMMANDS,
    target=_target,
    decider=execution,
    react_to_rejection=react_to_rejection,
    react_without_events=react_without_events,
    react_to_failure=react_to_failure,
    requests=requests,
    answers=frozenset((c.ReportChild,)),
    loaded=LoadedExecution(),
    timers=TimerRules(after=_timers_after, pending=_timers),
    leases=LeaseRules(change=_lease_change, held=_leases),
    snapshots=SNAPSHOTS,
    closing=CLOSING,
    audit=AUDIT,
    phase=lambda state: state.phase.value,
    terminal_phases=frozenset(phase.value for phase in TERMINAL_EXECUTION),
    to_json=to_json,
    describe=describe,
)
