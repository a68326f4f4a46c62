"""Crashes and terminations at any step: every dispatch is reported or aborted."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from immutables import Map

from domain.decider import Send
from domain.execution.context import Limits
from domain.execution.decide import execution
from domain.execution.state.frontier import rebuild
from domain.execution.state.saved_nodes import unique_id
from domain.graph import Definition
from schemas.messages import commands as c
from schemas.messages import dispatches as d
from schemas.messages import node_events as ne
from tests.property.generated_graphs import INSIDE, LIMITED, graphs
from tests.property.test_execution import (
    ENDING_STEPS_MAX,
    LIMITS,
    STEPS_MAX,
    Watch,
    commands,
    rightful,
)
from tests.support.engine import CREATE, Engine, created

_ENDS = (ne.TaskSucceeded, ne.TaskFailed, ne.TaskAborted)
_CHILD_ENDS = frozenset({"SUCCEEDED", "FAILED", "ABORTED", "TIMED_OUT"})


def crash(engine: Engine) -> None:
    """Lose everything in memory, and fold the events again."""
    state = execution.fold(engine.events)
    assert state == engine.state
    definition = replace(engine.definition, dynamic_closures=Map())
    for path, left in engine.recovery.items():
        if left.dynamic_workflow is not None and unique_id(path) not in state.nodes:
            inside = engine.insides[left.dynamic_workflow.closure.uri]
            definition = definition.with_dynamic_closure(unique_id(path), inside)
    for node_id, node in state.nodes.items():
        if node.dynamic_closure is not None and not node.is_terminal:
            inside = engine.insides[node.dynamic_closure.uri]
            definition = definition.with_dynamic_closure(node_id, inside)
    engine.state, engine.definition = state, definition
    engine.frontier = rebuild(definition, state)


class Accounts:
    """What was handed out, and what became of it."""

    def __init__(self, engine: Engine) -> None:
        """Begin with an execution that has begun."""
        self.engine = engine
        self.watch = Watch(engine)
        self.ended_children: set[str] = set()
        self.watch.step(CREATE, "create")

    def step(self, command: c.ExecutionCommand) -> None:
        """Do one command, and note which children have ended."""
        if isinstance(command, c.ReportChild) and command.phase in _CHILD_ENDS:
            self.ended_children.add(f"execution/{command.child}")
        self.watch.step(command)

    def check_tasks(self) -> None:
        """Each attempt ended; what was stopped was called off."""
        events = [f for f in self.engine.events if isinstance(f, _ENDS)]
        ended = {(event.node_id, event.attempt): event for event in events}
        sent = [m for m in self.engine.sent if isinstance(m, d.AbortTask)]
        called_off = {(message.node_id, message.attempt) for message in sent}
        for run in self.engine.runs():
            key = run.node_id, run.attempt
            assert key in ended, key
            assert not isinstance(ended[key], ne.TaskAborted) or key in called_off

    def check_children(self) -> None:
        """Each child that was asked for ended or was told to."""
        sent = [m for m in self.engine.sent if isinstance(m, Send)]
        asked, told = set(), set()
        for message in sent:
            if isinstance(message.command, c.CreateExecution):
                asked.add(message.stream)
            elif isinstance(message.command, c.TerminateExecution):
                told.add(message.stream)
        assert asked <= told | self.ended_children

    def check_late(self) -> None:
        """Whatever comes now changes nothing."""
        for command in commands(self.engine):
            if not isinstance(command, c.SetSignal):
                assert self.engine.decide(command) == [] or not isinstance(
                    self.engine.decide(command), list
                )


@settings(max_examples=120, deadline=None)
@given(
    graph=graphs(),
    made=graphs(cleans_up=False),
    parallelism=st.integers(0, 3),
    limits=st.sampled_from(LIMITS),
    data=st.data(),
)
def test_whatever_was_handed_out_is_accounted_for(
    graph: Definition,
    made: Definition,
    parallelism: int,
    limits: Limits,
    data: st.DataObject,
) -> None:
    """No task and no child outlives its execution, nor that one's recoveries."""
    engine = Engine(graph, created(6, max_parallelism=parallelism))
    engine.insides |= {"inside": INSIDE, "limited": LIMITED, "made": made}
    engine.limits = limits
    for _ in range(data.draw(st.integers(1, 3))):
        _run(Accounts(engine), data)
        engine = engine.to_recover()
        engine.limits = limits


def _run(accounts: Accounts, data: st.DataObject) -> None:
    engine = accounts.engine
    ways = st.sampled_from(["go"] * 20 + ["crash"] * 3 + ["terminate"])
    for _ in range(STEPS_MAX):
        possible = commands(engine)
        if not possible or engine.state.is_terminal:
            break
        way = data.draw(ways)
        if way == "crash":
            crash(engine)
        elif way == "terminate":
            accounts.step(c.TerminateExecution(cause="enough"))
        else:
            accounts.step(data.draw(st.sampled_from(possible)))
    for _ in range(ENDING_STEPS_MAX):
        for command in rightful(engine):
            if not engine.state.is_terminal:
                accounts.step(command)
    crash(engine)

    assert engine.state.is_terminal
    assert all(node.is_terminal for node in engine.state.nodes.values())
    accounts.check_tasks()
    accounts.check_children()
    accounts.check_late()
