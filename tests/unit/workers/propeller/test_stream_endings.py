"""Closed streams: what a propeller has evicted, the read models know."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from domain.execution.state.state import Execution
from schemas.ids import ParentNode
from schemas.messages import commands as c
from schemas.phases import ExecutionPhase
from tests.support.engine import STREAM, Engine, created
from tests.support.graphs import definition, task_node
from tests.support.harness.read_models import ReadModels
from tests.support.memory_log import MemoryLog
from workers.propeller.kinds.contract import NothingToLoad
from workers.propeller.kinds.execution_closing import closed, closed_execution
from workers.propeller.kinds.executions import EXECUTIONS
from workers.propeller.loading.stream_cache import StreamCache
from workers.propeller.loading.stream_endings import ClosedStreamQuery
from workers.propeller.stream_kinds import STREAM_KINDS

RUNNING = "execution/p/d/other"
PARENT = ParentNode(stream="execution/p/d/above", node_id="n4", attempt=2)


def _engine(parent: ParentNode | None = None, *, ends: bool = True) -> Engine:
    engine = Engine(definition([task_node("a")], "a"), created(parent=parent))
    engine.begin()
    if ends:
        engine.succeed("a")
    return engine


async def test_how_a_stream_ended_is_told(read_models: ReadModels) -> None:
    """Phase and last sequence of what has ended; nothing of what runs or isn't."""
    ended = _engine()
    await read_models.given(STREAM, *ended.events)
    await read_models.given(RUNNING, *_engine(ends=False).events)
    found = await ClosedStreamQuery(read_models.pool).of(
        [STREAM, RUNNING, "execution/p/d/no"]
    )

    assert set(found) == {STREAM}
    assert found[STREAM].last_sequence == len(ended.events)
    assert found[STREAM].phase == "SUCCEEDED"
    assert closed_execution(STREAM, found[STREAM]).phase is ExecutionPhase.SUCCEEDED


async def test_a_deleted_one_has_ended(read_models: ReadModels) -> None:
    """Its name stays taken, and a second deletion finds it deleted."""
    engine = _engine()
    engine.do(c.DeleteExecution(principal="somebody"))
    await read_models.given(STREAM, *engine.events)
    found = await ClosedStreamQuery(read_models.pool).of([STREAM])

    assert found[STREAM].last_sequence == len(engine.events)
    assert closed_execution(STREAM, found[STREAM]).is_deleted


async def test_a_child_knows_its_parent(read_models: ReadModels) -> None:
    """Who asked for an execution is known, so that a child isn't deleted by itself."""
    await read_models.given(STREAM, *_engine(PARENT).events)
    found = await ClosedStreamQuery(read_models.pool).of([STREAM])

    known = closed_execution(STREAM, found[STREAM]).created
    assert known is not None
    assert known.parent is not None
    assert (known.parent.stream, known.parent.node_id) == (PARENT.stream, "n4")


async def test_nothing_is_evicted_that_the_read_models_lack(
    read_models: ReadModels,
) -> None:
    """An ending stays in memory until the read models have it."""
    engine, loader = _engine(), NothingToLoad[Any, Any, Any, Any]()
    loader.closed = ClosedStreamQuery(read_models.pool)
    kinds = STREAM_KINDS.with_loaders({"execution": loader})
    streams = StreamCache(MemoryLog(), kinds, 0)
    streams.mark_complete(but_evicted=False)
    ended = replace(EXECUTIONS.begin(), state=engine.state, sequence=len(engine.events))
    streams.put(STREAM, ended)
    await read_models.given(STREAM, *engine.events[:-1])
    assert await streams.evictable() == []
    await read_models.given(STREAM, engine.events[-1])
    assert await streams.evictable() == [STREAM]

    streams.evict([STREAM])
    assert (await streams.get(STREAM)).state.phase is ExecutionPhase.SUCCEEDED
    assert not (await streams.get(RUNNING)).sequence


def test_what_is_remembered_answers_its_creator_as_ever() -> None:
    """The command that created it, and the node that asked for it, are known again."""
    parent = ParentNode(stream="execution/p/d/above", node_id="n4", attempt=2)
    first = created(parent=parent)
    state = Execution(
        created=type(first)(
            **{f: getattr(first, f) for f in first.__struct_fields__}
            | {"created_by": f"{parent.stream}/17/0"}
        ),
        phase=ExecutionPhase.FAILED,
    )
    known = closed_execution(STREAM, closed(state, 9))

    assert known.created is not None
    assert known.created.parent == parent
    assert known.created.created_by == f"{parent.stream}/17/0"
    assert known.phase is ExecutionPhase.FAILED
