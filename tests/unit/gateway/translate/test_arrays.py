"""Elements of an array as clients see them (ref §5.7)."""

from __future__ import annotations

from typing import Any

import pytest
from flyteidl.core import catalog_pb2, execution_pb2
from flyteidl.event import event_pb2
from msgspec.structs import replace

from gateway.translate.arrays import add_elements
from projections.rows import ElementRow
from schemas.phases import SHOWN_NODE
from schemas.values import TaskLog
from tests.unit.gateway.translate.test_executions import an_attempt

_TASK = execution_pb2.TaskExecution.Phase
_CACHE = catalog_pb2.CatalogCacheStatus
ELEMENT = ElementRow(
    node_id="n0-0-n1",
    element=1,
    phase="RUNNING",
    child="",
    cache_status=None,
    task_phase="RUNNING",
    retry_attempt=2,
    generated_name="run-n0-0-n1-2",
    logs=(TaskLog(name="log", uri="/log"),),
)


def resources(*elements: ElementRow, size: int = 2) -> list[Any]:
    """Return the external resources of an array's attempt."""
    metadata = event_pb2.TaskExecutionMetadata()
    row = an_attempt(retry_attempt=0, array_size=size)
    add_elements(metadata, row, elements, "http://g")
    assert metadata.plugin_identifier == "k8s-array"
    return list(metadata.external_resources)


def test_each_index_is_told_of() -> None:
    """One that has not begun has a name and no phase; others show their attempt."""
    waiting, running = resources(ELEMENT)

    assert (waiting.index, waiting.external_id) == (0, "run-n0-0-n0-0")
    assert (waiting.phase, waiting.retry_attempt) == (_TASK.UNDEFINED, 0)
    assert (running.index, running.external_id) == (1, "run-n0-0-n1-2")
    assert (running.phase, running.retry_attempt) == (_TASK.RUNNING, 2)
    assert [(log.name, log.uri) for log in running.logs] == [("log-1", "http://g/log")]


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        (None, _CACHE.CACHE_DISABLED),
        ("HIT", _CACHE.CACHE_HIT),
        ("MISS", _CACHE.CACHE_MISS),
        ("POPULATED", _CACHE.CACHE_POPULATED),
        ("SKIPPED", _CACHE.CACHE_SKIPPED),
        ("PUT_FAILURE", _CACHE.CACHE_PUT_FAILURE),
        ("LOOKUP_FAILURE", _CACHE.CACHE_LOOKUP_FAILURE),
    ],
)
def test_what_the_catalog_said_is_told(status: str | None, shown: int) -> None:
    """Each index has a cache status of its own."""
    assert resources(replace(ELEMENT, cache_status=status))[1].cache_status == shown


def test_kept_outputs_have_the_name_of_the_attempt_that_wasnt_needed() -> None:
    """A hit has succeeded without an attempt."""
    kept = replace(
        ELEMENT,
        phase="SUCCEEDED",
        cache_status="HIT",
        task_phase=None,
        retry_attempt=None,
        generated_name=None,
        logs=(),
    )
    hit = resources(kept)[1]

    assert (hit.external_id, hit.retry_attempt) == ("run-n0-0-n1-0", 0)
    assert hit.phase == _TASK.SUCCEEDED


def test_a_launch_plans_element_names_its_child() -> None:
    """Its phase is that of the node, and its execution can be followed."""
    over = replace(ELEMENT, child="p/d/c1", task_phase=None, generated_name=None)
    child = resources(over)[1]

    assert child.external_id == "p/d/c1"
    assert child.workflow_node_metadata.execution_id.name == "c1"
    assert child.phase == _TASK.RUNNING


@pytest.mark.parametrize("phase", sorted({p.value for p in SHOWN_NODE}))
def test_every_phase_of_a_node_has_one_of_an_attempt(phase: str) -> None:
    """An element that ended badly never shows the phase that its attempt had."""
    shown = resources(replace(ELEMENT, phase=phase))[1].phase
    expected = {"SUCCEEDED": "SUCCEEDED", "ABORTED": "ABORTED", "FAILED": "FAILED"}
    if phase in expected:
        assert _TASK.Name(shown) == expected[phase]
    assert shown != _TASK.UNDEFINED
