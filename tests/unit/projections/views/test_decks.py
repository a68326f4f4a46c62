"""Decks: where they are is known while their task runs, and when it failed."""

from __future__ import annotations

from msgspec.structs import replace

from projections.queries import executions
from schemas.ids import ExecutionRef
from tests.support.engine import STREAM, Engine, created, failure, start
from tests.support.graphs import definition, task_node
from tests.support.harness.read_models import ReadModels

MAIN = ExecutionRef(project="p", domain="d", name="main-1")


def _begun() -> Engine:
    engine = Engine(definition([task_node("a")], "a"), created())
    engine.begin()
    return engine


async def test_a_running_task_shows_its_deck(read_models: ReadModels) -> None:
    """The first report says where it will be."""
    engine = _begun()
    engine.do(replace(start(engine.run_of("a")), deck_uri="/b/deck.html"))
    await read_models.given(STREAM, *engine.events)

    node = await executions.get_node(read_models.pool, MAIN, "a")
    assert node is not None
    assert (node.phase, node.deck_uri) == ("RUNNING", "/b/deck.html")


async def test_a_task_that_failed_at_once_shows_its_deck(
    read_models: ReadModels,
) -> None:
    """Its only report has the failure and the deck."""
    engine = _begun()
    engine.do(replace(failure(engine.run_of("a")), deck_uri="/b/deck.html"))
    await read_models.given(STREAM, *engine.events)

    node = await executions.get_node(read_models.pool, MAIN, "a")
    assert node is not None
    assert (node.phase, node.deck_uri) == ("FAILED", "/b/deck.html")
