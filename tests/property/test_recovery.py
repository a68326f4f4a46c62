"""A recovered run of any graph ends as a run without accidents would have ended."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.decider import Send
from domain.execution.state.timers import timers_of
from domain.graph import Definition
from schemas.messages import commands as c
from schemas.messages import dispatches as d
from schemas.messages import node_events as ne
from schemas.phases import SUCCESSES
from schemas.values import Values
from tests.property.generated_graphs import INSIDE, graphs
from tests.property.test_execution import Watch
from tests.support.cache_lookups import miss
from tests.support.engine import (
    CREATE,
    Engine,
    created,
    expansion,
    failure,
    success,
)
from tests.support.graphs import integer, values
from tests.support.literals import primitive

STEPS_MAX, DEPTH_MAX = 120, 4


def _yields(inputs: bytes | None, index: int = -1) -> int:
    """Return what a task makes of its inputs, always the same."""
    return zlib.crc32(bytes(inputs or b"") + bytes([index + 1])) % 10


def good(engine: Engine) -> list[c.ExecutionCommand]:
    """Return the reports of a world where everything works, open ones only."""
    found: list[c.ExecutionCommand] = []
    latest = {run.node_id: run for run in engine.runs()}
    for run in latest.values():
        node = engine.state.nodes[run.node_id]
        if node.is_terminal or node.dynamic_closure is not None:
            continue
        if _makes_a_workflow(engine, run):
            found.append(expansion(run, "inside"))
        else:
            found.append(success(run, _yields(run.inputs.inline, run.array_index)))
    for message in engine.sent:
        node = engine.state.nodes.get(getattr(message, "node_id", ""))
        if isinstance(message, d.LookUpCache) and node is not None:
            if node.is_looked_up:
                found.append(miss(message))
        elif isinstance(message, Send):
            found += _child(engine, message.command)
    return [*found, *_gates(engine)]


def _makes_a_workflow(engine: Engine, run: d.RunTask) -> bool:
    """Return whether a task is dynamic: always the same ones, and never too deep."""
    site = engine.state.nodes[run.node_id].site
    depth, above = 0, site
    while above.parent_id:
        above = engine.state.nodes[above.parent_id].site
        depth += 1
    told = f"{site.spec_node_id}/{depth}".encode() + bytes(run.inputs.inline or b"")
    return site.element is None and depth < DEPTH_MAX and zlib.crc32(told) % 3 == 0


def _child(engine: Engine, command: Any) -> list[c.ExecutionCommand]:
    if not isinstance(command, c.CreateExecution) or command.parent is None:
        return []
    if command.parent.node_id not in engine.state.active:
        return []
    outputs = Values(inline=values(o0=_yields(command.inputs)))
    return [_report(command, "SUCCEEDED", outputs)]


def _report(
    command: c.CreateExecution, phase: str, outputs: Values | None = None
) -> c.ReportChild:
    assert command.parent is not None
    return c.ReportChild(
        node_id=command.parent.node_id,
        attempt=command.parent.attempt,
        child=f"p/d/{command.name}",
        phase=phase,
        outputs=outputs,
    )


def _gates(engine: Engine) -> list[c.ExecutionCommand]:
    found: list[c.ExecutionCommand] = []
    for name, signal in engine.state.signals.items():
        if signal.value is None:
            value = primitive(boolean=True) if name.endswith("approve") else integer(1)
            data = value.SerializeToString(deterministic=True)
            found.append(c.SetSignal(signal_id=name, value=data))
    for timer in timers_of(engine.state):
        node = engine.state.nodes[timer.node_id]
        if node.retries.retry_at_us or node.sleeps_until_us:
            engine.clock_us = max(engine.clock_us, timer.due_us)
            found.append(c.TimeReached(timer_id=timer.id))
    return found


def bad(engine: Engine) -> list[c.ExecutionCommand]:
    """Return accidents that may happen now."""
    found: list[c.ExecutionCommand] = [c.TerminateExecution(cause="enough")]
    for run in engine.runs():
        if run.node_id in engine.state.active:
            found += [failure(run), failure(run, recoverable=True)]
    for message in engine.sent:
        command = getattr(message, "command", None)
        if isinstance(command, c.CreateExecution):
            found.append(_report(command, "FAILED"))
    return found


def _run(
    engine: Engine, offers: Callable[[Engine], list[Any]], pick: Callable[[Any], Any]
) -> None:
    watch = Watch(engine)
    watch.step(CREATE, "create")
    for _ in range(STEPS_MAX):
        if engine.state.is_terminal:
            return
        possible = offers(engine)
        if not possible:
            return
        watch.step(pick(possible))


def _succeeded(engine: Engine) -> set[str]:
    """Return what must not run again: all that succeeded but for clean-ups."""
    nodes = engine.state.nodes.items()
    return {n for n, node in nodes if node.phase in SUCCESSES and "fn0" not in n}


@settings(max_examples=150, deadline=None)
@given(graph=graphs(partly=False), parallelism=st.integers(0, 3), data=st.data())
def test_a_recovered_run_ends_with_the_values_of_a_clean_one(
    graph: Definition, parallelism: int, data: st.DataObject
) -> None:
    """Whatever was lost, and however often it is recovered, the values are the same."""

    def engine() -> Engine:
        found = Engine(graph, created(6, max_parallelism=parallelism))
        found.insides["inside"] = INSIDE
        return found

    clean = engine()
    _run(clean, good, lambda possible: possible[0])
    broken, times = engine(), data.draw(st.integers(1, 3))
    done: set[str] = set()
    for _ in range(times):
        _run(
            broken,
            lambda at: [*good(at), *good(at), *bad(at)],
            lambda possible: data.draw(st.sampled_from(possible)),
        )
        done |= _succeeded(broken)
        broken = broken.to_recover()
    _run(broken, good, lambda possible: possible[0])

    assert broken.state.phase == clean.state.phase
    assert broken.state.outputs == clean.state.outputs
    assert not {run.node_id for run in broken.runs()} & done
    asked = [f for f in broken.events if isinstance(f, ne.ChildRequested)]
    assert not {event.node_id for event in asked} & done
