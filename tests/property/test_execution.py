"""Any commands in any order: the laws of an execution hold after every step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flyteidl.core import literals_pb2
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from domain.decider import Send
from domain.execution.context import Limits
from domain.execution.decide import execution
from domain.execution.state.evolve import evolve
from domain.execution.state.frontier import Frontier, rebuild
from domain.execution.state.inline_outputs import held
from domain.execution.state.state import Execution
from domain.execution.state.timers import timers_of
from domain.graph import Definition
from schemas.messages import commands as c
from schemas.messages import dispatches as d
from schemas.messages import execution_events as e
from schemas.messages.rejections import Rejected
from schemas.phases import EXECUTION_MOVES, NODE_MOVES, ExecutionPhase, NodePhase
from schemas.values import Failure, Values
from tests.property.generated_graphs import INSIDE, LIMITED, graphs
from tests.support.cache_lookups import cache_answers
from tests.support.engine import (
    CREATE,
    Engine,
    created,
    expansion,
    failure,
    start,
    success,
)
from tests.support.graphs import integer, lists, values

STEPS_MAX = 60
ENDING_STEPS_MAX = 60


def commands(engine: Engine) -> list[c.ExecutionCommand]:
    """Return commands that may come now: valid, stale and repeated ones."""
    latest = {m.node_id: m for m in engine.runs()}
    runs = [*latest.values(), *engine.runs()[:1]]
    found = [report for run in runs for report in _reports(run)]
    found += [expansion(run, uri) for uri in engine.insides for run in runs]
    for message in engine.sent:
        found += _answers(message)
    return [*found, *_signals(engine, 1), *_signals(engine, 0)]


def rightful(engine: Engine) -> list[c.ExecutionCommand]:
    """Return one good report for each thing that is still asked for."""
    latest = {m.node_id: m for m in engine.runs()}
    found: list[c.ExecutionCommand] = [
        success(run) for run in latest.values() if run.node_id in engine.state.active
    ]
    for message in engine.sent:
        found += _answers(message)[:2]
    return [*found, *_signals(engine, 1)]


def _signals(engine: Engine, number: int) -> list[c.ExecutionCommand]:
    """Return an answer for each signal that is known, and the times that can come."""
    found: list[c.ExecutionCommand] = []
    for name in engine.state.signals:
        yes = literals_pb2.Literal()
        yes.scalar.primitive.boolean = bool(number)
        literal = yes if name.endswith("approve") else integer(number)
        value = literal.SerializeToString(deterministic=True)
        found.append(c.SetSignal(signal_id=name, value=value))
    for timer in timers_of(engine.state):
        engine.clock_us = max(engine.clock_us, timer.due_us)
        found.append(c.TimeReached(timer_id=timer.id))
    return found


def _answers(message: Any) -> list[c.ExecutionCommand]:
    if isinstance(message, d.LookUpCache):
        return cache_answers(message)
    if isinstance(message, d.ResolveInputs):
        return _resolutions(message)
    if isinstance(message, d.GatherOutputs):
        return _gatherings(message)
    if isinstance(message, Send) and isinstance(message.command, c.CreateExecution):
        return _children(message.command)
    return []


def _reports(run: d.RunTask) -> list[c.ExecutionCommand]:
    big = success(run)
    return [
        success(run),
        start(run),
        success(run, 9),
        c.ReportTaskSucceeded(
            **{
                **{name: getattr(big, name) for name in big.__struct_fields__},
                "outputs": Values(uri="blob", digest="1", size=10**6),
            }
        ),
        replace(success(run, 2), outputs=Values(inline=values(o0=2), uri="small")),
        failure(run),
        failure(run, recoverable=True),
        failure(run, kind="SYSTEM", recoverable=True),
        c.ExpireLease(
            node_id=run.node_id,
            attempt=run.attempt,
            dispatch_no=run.dispatch_no,
            reason="gone",
        ),
    ]


def _resolutions(message: d.ResolveInputs) -> list[c.ExecutionCommand]:
    where = {"node_id": message.node_id, "attempt": 0}
    inline = values(x=7)
    if message.array is not None:
        whole = Values(uri="lists", digest="1", size=10**6)
        return [
            c.ReportInputsResolved(**where, inputs=whole, size=3),
            c.ReportInputsResolved(
                **where, inputs=Values(inline=lists(x=[1, 2])), size=2
            ),
            c.ReportInputsResolved(**where, inputs=Values(uri="none"), size=0),
            c.ReportResolutionFailed(**where, failure=Failure(code="X", message="y")),
        ]
    return [
        c.ReportInputsResolved(**where, inputs=Values(inline=inline), operands=inline),
        c.ReportResolutionFailed(**where, failure=Failure(code="X", message="y")),
    ]


def _gatherings(message: d.GatherOutputs) -> list[c.ExecutionCommand]:
    where = {"node_id": message.node_id, "attempt": message.attempt}
    return [
        c.ReportOutputsGathered(**where, outputs=Values(uri="all", size=10**6)),
        c.ReportOutputsGathered(**where, failure=Failure(code="X", message="y")),
    ]


def _children(create: c.CreateExecution) -> list[c.ExecutionCommand]:
    assert create.parent is not None
    where = {
        "node_id": create.parent.node_id,
        "attempt": create.parent.attempt,
        "child": f"p/d/{create.name}",
    }
    outputs = Values(inline=values(o0=3))
    return [
        c.ReportChild(**where, phase="QUEUED"),
        c.ReportChild(**where, phase="SUCCEEDED", outputs=outputs),
        c.ReportChild(**where, phase="FAILED"),
    ]


class Watch:
    """Follows an engine from outside and checks each step."""

    def __init__(self, engine: Engine) -> None:
        """Watch from the first event on."""
        self.engine = engine
        self.folded = Execution()
        self.seen = 0

    def step(self, command: c.ExecutionCommand, command_id: str = "") -> None:
        """Do one command and check every law."""
        if isinstance(self.engine.decide(command, command_id), Rejected):
            return
        events = self.engine.do(command, command_id)
        for event in events:
            self._fold(event)
        assert self.folded == self.engine.state
        self._repeat(command, command_id)
        self._frontier()
        self._inline_outputs()

    def _fold(self, event: e.ExecutionEvent) -> None:
        before, after = self.folded, evolve(self.folded, event)
        if after.phase != before.phase:
            assert after.phase in EXECUTION_MOVES[before.phase]
        assert not before.is_terminal
        for node_id, node in after.nodes.items():
            old = before.nodes.get(node_id)
            phase = old.phase if old else NodePhase.NOT_YET_STARTED
            if node.phase != phase:
                assert node.phase in NODE_MOVES[phase], (node_id, phase, node.phase)
        self.folded = after

    def _repeat(self, command: c.ExecutionCommand, command_id: str) -> None:
        again = self.engine.decide(command, command_id)
        assert isinstance(again, Rejected) or not again, again

    def _frontier(self) -> None:
        state = self.engine.state
        if state.is_terminal:
            return
        rebuilt = rebuild(self.engine.definition, state)
        assert _open(rebuilt, state) == _open(self.engine.frontier, state)

    def _inline_outputs(self) -> None:
        assert held(self.engine.state) == self.engine.inline_outputs


_OPEN = {NodePhase.RUNNING, NodePhase.DYNAMIC_RUNNING}


def _open(frontier: Frontier, state: Execution) -> tuple[object, object]:
    """Return what a frontier says of scopes that still run."""

    def runs(place: tuple[str, str]) -> bool:
        if not place[0]:
            return state.phase is ExecutionPhase.RUNNING
        return state.nodes[place[0]].phase in _OPEN

    arrived = {p: n for p, n in frontier.arrived.items() if runs(p)}
    return arrived, {p for p in frontier.waiting.values() if runs(p)}


LIMITS = (
    Limits(),
    Limits(system_backoff_us=200_000, user_backoff_us=1_000_000),
    Limits(execution_timeout_us=9_000_000, user_backoff_us=1_000_000),
    Limits(inline_budget=40),
)


def _drive(
    definition_: Definition,
    parallelism: int,
    pick: Callable[[list[Any]], Any],
    limits: Limits,
) -> Watch:
    engine = Engine(definition_, created(6, max_parallelism=parallelism))
    engine.insides |= {"inside": INSIDE, "limited": LIMITED}
    engine.limits = limits
    watch = Watch(engine)
    watch.step(CREATE, "create")
    for _ in range(STEPS_MAX):
        possible = commands(engine)
        if not possible or engine.state.is_terminal:
            break
        watch.step(pick(possible))
    return watch


DRIVEN = given(
    graph=graphs(),
    parallelism=st.integers(0, 3),
    limits=st.sampled_from(LIMITS),
    data=st.data(),
)


@settings(max_examples=150, deadline=None)
@DRIVEN
def test_the_laws_hold_after_every_step(
    graph: Definition, parallelism: int, limits: Limits, data: st.DataObject
) -> None:
    """Replay equals live, repeats yield nothing, phases never go back."""
    _drive(
        graph,
        parallelism,
        lambda possible: data.draw(st.sampled_from(possible)),
        limits,
    )


@settings(max_examples=100, deadline=None)
@DRIVEN
def test_every_execution_ends_with_every_node(
    graph: Definition, parallelism: int, limits: Limits, data: st.DataObject
) -> None:
    """Whatever happened, rightful reports lead to one end, and nothing stays open."""
    watch = _drive(
        graph,
        parallelism,
        lambda possible: data.draw(st.sampled_from(possible)),
        limits,
    )
    engine = watch.engine
    for _ in range(ENDING_STEPS_MAX):
        if engine.state.is_terminal:
            break
        for command in rightful(engine):
            watch.step(command)
            if engine.state.is_terminal:
                break

    assert engine.state.is_terminal
    assert not engine.state.active
    assert engine.state.slots == 0
    assert all(node.is_terminal for node in engine.state.nodes.values())
    endings = (
        e.ExecutionSucceeded,
        e.ExecutionFailed,
        e.ExecutionAborted,
        e.ExecutionTimedOut,
    )
    assert sum(isinstance(event, endings) for event in engine.events) == 1
    has_failed = engine.state.phase is not ExecutionPhase.SUCCEEDED
    cleans_up = engine.definition.primary.failure_node is not None
    assert ("fn0" in engine.state.nodes) == (has_failed and cleans_up)


@settings(max_examples=60, deadline=None)
@given(graph=graphs(), data=st.data())
def test_termination_ends_everything(graph: Definition, data: st.DataObject) -> None:
    """A terminated execution leaves no node open, whenever it comes."""
    engine = Engine(graph, created(6))
    engine.begin()
    for _ in range(data.draw(st.integers(0, 10))):
        possible = commands(engine)
        if not possible or engine.state.is_terminal:
            break
        engine.do(data.draw(st.sampled_from(possible)))
    if engine.state.is_terminal:
        return
    engine.do(c.TerminateExecution(cause="enough"))

    assert engine.state.phase.value == "ABORTED"
    assert all(node.is_terminal for node in engine.state.nodes.values())
    assert execution.fold(engine.events) == engine.state
