"""An execution under test: decides, folds, reacts, and keeps what leaves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from flyteidl.admin import execution_pb2
from immutables import Map
from msgspec.structs import replace as replaced

from domain.decider import Outgoing
from domain.execution.context import Context, Limits
from domain.execution.decide import execution
from domain.execution.react import react_without_events
from domain.execution.state import inline_outputs
from domain.execution.state.advance import advance
from domain.execution.state.frontier import Frontier
from domain.execution.state.saved_nodes import (
    NOTHING_SAVED,
    Recovery,
    saved_nodes,
    unique_id,
)
from domain.execution.state.state import Execution
from domain.graph import Definition
from schemas.envelope import Envelope
from schemas.ids import EntityRef, ExecutionRef, ParentNode, execution_stream
from schemas.levels import FORMAT_LEVEL
from schemas.messages import commands as c
from schemas.messages import dispatches as d
from schemas.messages import execution_events as e
from schemas.messages.rejections import Rejected
from schemas.values import Blob, Failure, Values
from tests.support.graphs import definition, task_node, values
from workers.propeller.kinds.executions import DYNAMIC_CLOSURE_ENDS

STREAM = "execution/p/d/main-1"
NOON_US = 1_700_000_000_000_000
RUNNER, INCARNATION = "r1", "i1"


def created(
    x: int = 1, *, max_parallelism: int = 25, parent: ParentNode | None = None
) -> e.ExecutionCreated:
    """Return the first event of an execution with the input x."""
    return e.ExecutionCreated(
        occurred_at_us=NOON_US,
        execution=ExecutionRef(project="p", domain="d", name="main-1"),
        launch_plan=_ref("LAUNCH_PLAN", "lp"),
        workflow=_ref("WORKFLOW", "main"),
        task=None,
        spec=execution_pb2.ExecutionSpec().SerializeToString(),
        inputs=Values(inline=values(x=x)),
        user_inputs=Values(inline=values(x=x)),
        definition=Blob(uri="closure", digest="0", size=1),
        principal="somebody",
        max_parallelism=max_parallelism,
        parent=parent,
        created_by="create",
    )


def created_by(
    command: c.CreateExecution, envelope: Envelope, now_us: int
) -> e.ExecutionCreated:
    """Return the first event of the execution that a command asks for.

    Its definition is named as the execution: the graph is found again by that.
    """
    return replaced(
        created(7),
        occurred_at_us=now_us,
        execution=ExecutionRef(
            project=command.project, domain=command.domain, name=command.name
        ),
        parent=command.parent,
        created_by=envelope.id,
        definition=Blob(uri=command.name, digest="0", size=1),
    )


def _ref(kind: str, name: str) -> EntityRef:
    return EntityRef(kind=kind, project="p", domain="d", name=name, version="v")


CREATE = c.CreateExecution(
    project="p", domain="d", name="main-1", launch_plan=_ref("LAUNCH_PLAN", "lp")
)


class Engine:
    """One stream, run by hand."""

    def __init__(self, definition: Definition, first: e.ExecutionCreated) -> None:
        """Hold a stream without events; `begin` creates the execution."""
        self.definition = definition
        self.first = first
        self.stream = execution_stream(first.execution)
        self.state = Execution()
        self.frontier = Frontier()
        self.inline_outputs = 0
        self.events: list[e.ExecutionEvent] = []
        self.sent: list[Outgoing] = []
        self.recovery: Recovery = NOTHING_SAVED
        self.clock_us = NOON_US
        self.insides: dict[str, Definition] = {}
        self.limits = Limits()
        self.format_level = FORMAT_LEVEL

    def begin(self) -> list[e.ExecutionEvent]:
        """Create the execution."""
        return self.do(CREATE, command_id="create")

    def decide(
        self, command: c.ExecutionCommand, command_id: str = ""
    ) -> list[e.ExecutionEvent] | Rejected:
        """Say which events would follow, and change nothing."""
        context = self._context(command_id, command)
        outcome = execution.decide(command, self.state, context)
        return outcome if isinstance(outcome, Rejected) else list(outcome)

    def do(
        self, command: c.ExecutionCommand, command_id: str = ""
    ) -> list[e.ExecutionEvent]:
        """Let events follow; a refusal fails the test."""
        self.clock_us += 1
        outcome = self.decide(command, command_id)
        assert not isinstance(outcome, Rejected), outcome
        context = self._context(command_id, command)
        if outcome:
            self.definition = context.definition or self.definition
        for event in outcome:
            self.state = execution.evolve(self.state, event)
            self.frontier, _ = advance(
                self.frontier, self.definition, self.state, event
            )
            self.inline_outputs += inline_outputs.added(event)
            if isinstance(event, DYNAMIC_CLOSURE_ENDS):
                self.definition = self.definition.without_dynamic_closure(event.node_id)
            self.events.append(event)
            self.sent.extend(execution.react(event, self.state, context))
        if not outcome:
            self.sent.extend(react_without_events(command, self.state, context))
        return outcome

    def _context(self, command_id: str, command: c.ExecutionCommand) -> Context:
        definition = self.definition
        if isinstance(command, c.ReportTaskExpanded):
            inside = self.insides[command.inside.uri]
            definition = definition.with_dynamic_closure(command.node_id, inside)
        return Context(
            now_us=self.clock_us,
            command_id=command_id,
            stream=self.stream,
            definition=definition,
            frontier=self.frontier,
            inline_outputs=self.inline_outputs,
            admission=self.first,
            recovery=self.recovery,
            limits=self.limits,
            format_level=self.format_level,
        )

    def recovered(self) -> Engine:
        """Return another execution that has begun and recovers this one."""
        again = self.to_recover()
        again.begin()
        return again

    def to_recover(self) -> Engine:
        """Return another execution that will recover this one, without events."""
        again = Engine(replace(self.definition, dynamic_closures=Map()), self.first)
        again.insides = self.insides
        again.recovery = saved_nodes(self.events, self.recovery)
        for path, node in again.recovery.items():
            if node.dynamic_workflow is not None and not node.succeeded:
                inside = self.insides[node.dynamic_workflow.closure.uri]
                again.definition = again.definition.with_dynamic_closure(
                    unique_id(path), inside
                )
        return again

    def runs(self) -> list[d.RunTask]:
        """Return the tasks handed out so far."""
        return [m for m in self.sent if isinstance(m, d.RunTask)]

    def run_of(self, node_id: str) -> d.RunTask:
        """Return a node's latest dispatch."""
        return [m for m in self.runs() if m.node_id == node_id][-1]

    def succeed(self, node_id: str, o0: int = 1) -> list[e.ExecutionEvent]:
        """Report that a node's task ended well."""
        return self.do(success(self.run_of(node_id), o0))

    def fail(
        self, node_id: str, *, kind: str = "USER", recoverable: bool = False
    ) -> list[e.ExecutionEvent]:
        """Report that a node's task failed."""
        run = self.run_of(node_id)
        return self.do(failure(run, kind=kind, recoverable=recoverable))

    def phase(self, node_id: str) -> str:
        """Return the phase of a node, '' if it wasn't reached."""
        node = self.state.nodes.get(node_id)
        return node.phase.value if node else ""


def begun_chain(length: int = 2) -> Engine:
    """Return an execution of n0 > n1 > …, begun."""
    nodes = [task_node(f"n{i}", f"n{i - 1}" if i else "") for i in range(length)]
    engine = Engine(definition(nodes, f"n{length - 1}"), created())
    engine.begin()
    return engine


def names(events: Iterable[e.ExecutionEvent]) -> list[str]:
    """Return the names of events."""
    return [type(event).__name__ for event in events]


def _run_fields(run: d.RunTask) -> dict[str, Any]:
    """Return what every report on a dispatch says."""
    return {
        "node_id": run.node_id,
        "attempt": run.attempt,
        "dispatch_no": run.dispatch_no,
        "runner": RUNNER,
        "incarnation": INCARNATION,
        "started_at_us": NOON_US,
    }


def start(run: d.RunTask) -> c.ReportTaskStarted:
    """Return the report that a dispatch began."""
    return c.ReportTaskStarted(
        **_run_fields(run),
    )


def success(run: d.RunTask, o0: int = 1) -> c.ReportTaskSucceeded:
    """Return the report that a dispatch ended well."""
    return c.ReportTaskSucceeded(
        **_run_fields(run),
        ended_at_us=NOON_US + 1,
        outputs=Values(inline=values(o0=o0)),
    )


def expansion(run: d.RunTask, inside: str) -> c.ReportTaskExpanded:
    """Report that a task generated a workflow, one of the engine's by its name."""
    return c.ReportTaskExpanded(
        **_run_fields(run),
        ended_at_us=NOON_US,
        workflow=_ref("WORKFLOW", inside),
        inside=Blob(uri=inside, digest="0", size=1),
        spec_uri="futures.pb",
    )


def failure(
    run: d.RunTask, *, kind: str = "USER", recoverable: bool = False
) -> c.ReportTaskFailed:
    """Return the report that a dispatch failed."""
    return c.ReportTaskFailed(
        **_run_fields(run),
        ended_at_us=NOON_US + 1,
        failure=Failure(code="Boom", message="it broke", kind=kind),
        recoverable=recoverable,
    )
