"""Decks: where they are is known while their task runs, and when it failed."""

from __future__ import annotations

from typing import Any

import pytest
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


@pytest.mark.parametrize(("report", "phase"), [(start, "RUNNING"), (failure, "FAILED")])
async def test_the_first_report_shows_the_deck(
    read_models: ReadModels, report: Any, phase: str
) -> None:
    """It says where the deck will be, or is, also if the task failed at once."""
    engine = _begun()
    engine.do(replace(report(engine.run_of("a")), deck_uri="/b/deck.html"))
    await read_models.given(STREAM, *engine.events)

    node = await executions.get_node(read_models.pool, MAIN, "a")
    assert node is not None
    assert (node.phase, node.deck_uri) == (phase, "/b/deck.html")
