"""States of executions: archived ones are hidden, and may become active again."""

from __future__ import annotations

from flyteidl.admin import execution_pb2

from domain.registry.execution_states import set_state
from schemas.ids import ExecutionRef
from schemas.messages.registry_events import ExecutionStateSet
from schemas.messages.rejections import Reason, Rejected

ACTIVE, ARCHIVED = execution_pb2.EXECUTION_ACTIVE, execution_pb2.EXECUTION_ARCHIVED


def _set(state: int, at_us: int = 5) -> ExecutionStateSet:
    return ExecutionStateSet(
        occurred_at_us=at_us,
        execution=ExecutionRef(project="p", domain="d", name="run-1"),
        state=state,
        principal="me",
    )


def test_an_execution_is_archived_once() -> None:
    """The same state again yields no event (ref §2.2)."""
    assert set_state((), _set(ARCHIVED)) == (_set(ARCHIVED),)
    assert set_state((_set(ARCHIVED),), _set(ARCHIVED, 9)) == ()


def test_an_execution_is_active_from_its_start() -> None:
    """Activating one that was never archived yields no event."""
    assert set_state((), _set(ACTIVE)) == ()


def test_an_archived_execution_becomes_active_again() -> None:
    """The last event is the state that holds."""
    known = (_set(ARCHIVED), _set(ACTIVE, 6), _set(ARCHIVED, 7))
    assert set_state(known, _set(ACTIVE, 8)) == (_set(ACTIVE, 8),)


def test_an_unknown_state_is_refused() -> None:
    """A number of a newer client is no state."""
    refused = set_state((), _set(99))
    assert isinstance(refused, Rejected)
    assert refused.reason is Reason.INVALID_ARGUMENT
