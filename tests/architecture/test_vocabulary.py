"""The vocabulary: messages, their unions, their schemas and their phases agree."""

from __future__ import annotations

import inspect
import json
from typing import Any, get_args

import msgspec
import pytest
from flyteidl.core import execution_pb2

from domain.execution.state import evolve
from projections.views import apply
from schemas.messages import (
    commands,
    dead_letters,
    dispatches,
    execution_events,
    node_events,
    registry_events,
    snapshots,
)
from schemas.phases import (
    EXECUTION_MOVES,
    NODE_MOVES,
    SHOWN_NODE,
    TERMINAL_EXECUTION,
    TERMINAL_NODE,
    ExecutionPhase,
    NodePhase,
    TaskPhase,
)
from schemas.wire import generate, registry

UNIONS = {
    commands: commands.ExecutionCommand,
    execution_events: execution_events.ExecutionEvent,
    node_events: execution_events.ExecutionEvent,
    dispatches: dispatches.DispatchMessage,
    registry_events: registry_events.RegistryEvent,
    dead_letters: dead_letters.DeadLetterMessage,
    snapshots: snapshots.Snapshot,
}
BASES = {"Event", "Command", "Dispatch", "RegistryMessage"}
PARTS = {"NodeSite", "SourceValues", "ArrayShape"}
# Messages that belong to no execution's union, and travel on their own.
ALONE = {"Heartbeat", "Tick", "CommandRejected", "CommandHadNoEffect", "AbortTask"}
EVENTS = set(get_args(execution_events.ExecutionEvent))


def _messages(module: Any) -> set[type]:
    return {
        found
        for name, found in vars(module).items()
        if inspect.isclass(found)
        and found.__module__ == module.__name__
        and issubclass(found, msgspec.Struct)
        and name not in BASES | PARTS
    }


@pytest.mark.parametrize("module", UNIONS, ids=lambda module: module.__name__)
def test_every_message_is_in_its_union_and_in_the_registry(module: Any) -> None:
    """A message that a module declares can be matched on, and can travel."""
    declared = _messages(module)
    alone = {cls for cls in declared if cls.__name__ in ALONE}
    union = get_args(UNIONS[module])
    own = {cls for cls in union if cls.__module__ == module.__name__}
    assert declared - alone == own
    assert declared <= set(registry.CLASSES)


def test_no_name_is_taken_twice() -> None:
    """Full names and fingerprints tell messages apart."""
    assert len({e.fingerprint for e in registry.ENGINE.entries}) == len(
        registry.ENGINE.entries
    )
    assert len({cls.__name__ for cls in registry.CLASSES}) == len(registry.CLASSES)


@pytest.mark.parametrize("cls", registry.CLASSES, ids=lambda cls: cls.__name__)
def test_a_message_is_frozen_and_says_what_it_means(cls: type[Any]) -> None:
    """A message never changes, and its docstring's first paragraph is a sentence."""
    assert cls.__struct_config__.frozen
    said = (cls.__doc__ or "").split("\n\n", 1)[0].strip()
    assert said.endswith("."), said


@pytest.mark.parametrize("cls", registry.CLASSES, ids=lambda cls: cls.__name__)
def test_a_message_equals_its_released_schema(cls: type[Any]) -> None:
    """A released schema never changes: other fields are a new version."""
    released = json.loads(
        registry.ENGINE.schema_path(cls, registry.ENGINE.newest(cls)).read_text()
    )
    described = json.loads(json.dumps(generate.schema_of(cls)))
    assert _without_docs(described) == _without_docs(released)


def test_every_released_schema_belongs_to_a_message() -> None:
    """No schema lies around that nothing writes or reads."""
    released = {path.name for path in registry.AVRO.iterdir()}
    known = {
        registry.ENGINE.schema_path(e.cls, e.version).name
        for e in registry.ENGINE.entries
    }
    assert released == known


def _without_docs(described: Any) -> Any:
    if isinstance(described, dict):
        return {k: _without_docs(v) for k, v in described.items() if k != "doc"}
    if isinstance(described, list):
        return [_without_docs(item) for item in described]
    return described


def test_every_event_can_be_folded_and_projected() -> None:
    """State and views know what each event of an execution does to them."""
    assert set(evolve.APPLY) == EVENTS
    assert set(apply.EXECUTIONS.apply) == EVENTS


def test_execution_phases_are_flytes() -> None:
    """An execution's phases are flyteidl's, by name."""
    names = set(execution_pb2.WorkflowExecution.Phase.keys())
    assert {phase.value for phase in ExecutionPhase} == names


def test_task_phases_are_flytes() -> None:
    """An attempt's phases are flyteidl's; that it may be retried shows at the node."""
    names = set(execution_pb2.TaskExecution.Phase.keys())
    assert {phase.value for phase in TaskPhase} == names - {"RETRYABLE_FAILED"}


def test_every_node_phase_that_is_shown_is_flytes() -> None:
    """What clients see of a node is a name that flyteidl has."""
    assert set(SHOWN_NODE) == set(NodePhase)
    shown = {name for name in SHOWN_NODE.values() if name is not None}
    assert shown <= set(execution_pb2.NodeExecution.Phase.keys())


def test_every_phase_has_its_moves_and_the_last_ones_none() -> None:
    """Machines are whole: each phase is listed, and what ended stays ended."""
    assert set(EXECUTION_MOVES) == set(ExecutionPhase)
    assert set(NODE_MOVES) == set(NodePhase)
    assert {p for p, moves in EXECUTION_MOVES.items() if not moves} == (
        TERMINAL_EXECUTION
    )
    assert {p for p, moves in NODE_MOVES.items() if not moves} == TERMINAL_NODE
