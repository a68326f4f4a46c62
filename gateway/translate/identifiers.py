"""Ids, times, errors: our words as flyteidl's messages; pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from flyteidl.core import execution_pb2, identifier_pb2

from schemas.ids import EntityRef, ExecutionRef
from schemas.values import Failure

ERROR_IN_LIST_BYTES_MAX = 100
"""Lists show the beginning of an error, single replies all of it (ref §1.3)."""
_KINDS = dict(execution_pb2.ExecutionError.ErrorKind.items())


def identifier(ref: EntityRef) -> Any:
    """Return a core.Identifier."""
    return identifier_pb2.Identifier(
        resource_type=identifier_pb2.ResourceType.Value(ref.kind),
        project=ref.project,
        domain=ref.domain,
        name=ref.name,
        version=ref.version,
    )


def execution_id(ref: ExecutionRef) -> Any:
    """Return a core.WorkflowExecutionIdentifier."""
    return identifier_pb2.WorkflowExecutionIdentifier(
        project=ref.project, domain=ref.domain, name=ref.name
    )


def node_id(ref: ExecutionRef, node: str) -> Any:
    """Return a core.NodeExecutionIdentifier."""
    return identifier_pb2.NodeExecutionIdentifier(
        node_id=node, execution_id=execution_id(ref)
    )


def stamp(target: Any, moment: datetime | None) -> None:
    """Set a Timestamp; one that isn't known yet stays absent (ref §16.11)."""
    if moment is not None:
        target.FromDatetime(moment)


def span(target: Any, begin: datetime | None, end: datetime | None) -> None:
    """Set a Duration, if both its ends are known; clocks may differ, time doesn't."""
    if begin is not None and end is not None:
        target.FromTimedelta(max(end - begin, timedelta()))


def error(failure: Failure, bytes_max: int | None = None) -> Any:
    """Return a core.ExecutionError; its message may be cut."""
    message = failure.message
    if bytes_max is not None:
        message = message.encode()[:bytes_max].decode(errors="ignore")
    found = execution_pb2.ExecutionError(
        code=failure.code,
        message=message,
        error_uri=failure.error_uri,
        kind=_KINDS.get(failure.kind, execution_pb2.ExecutionError.UNKNOWN),
        worker=failure.worker,
    )
    if failure.occurred_at_us:
        found.timestamp.FromMicroseconds(failure.occurred_at_us)
    return found
