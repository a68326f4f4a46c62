"""The read model of signals."""

from __future__ import annotations

from projections.queries import executions
from projections.queries.page import Page
from schemas.ids import ExecutionRef
from schemas.messages.commands import SetSignal
from tests.support.engine import STREAM, Engine, created
from tests.support.graphs import definition, gate_node, integer
from tests.support.harness.read_models import ReadModels

MAIN = ExecutionRef(project="p", domain="d", name="main-1")


async def test_a_signal_shows_with_its_last_value(read_models: ReadModels) -> None:
    """It is there once requested, and says who set it; a rebuild agrees."""
    gate = gate_node("a", signal="s")
    engine = Engine(definition([gate], "a"), created())
    engine.begin()
    await read_models.given(STREAM, *engine.events)
    asked = await executions.get_signal(read_models.pool, MAIN, "s")
    value = integer(7).SerializeToString()
    ended = engine.do(SetSignal(signal_id="s", value=value, principal="ann"))
    await read_models.given(STREAM, *ended)
    found = await executions.get_signal(read_models.pool, MAIN, "s")

    assert asked is not None
    assert (asked.node_id, asked.value) == ("a", None)
    assert found is not None
    assert (found.value, found.principal) == (value, "ann")
    page = Page(limit=5, filters="eq(signal_id,s)")
    assert await executions.list_signals(read_models.pool, MAIN, page) == [found]
