"""Identifiers, times and errors as flyteidl's messages; pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from flyteidl.core import execution_pb2, identifier_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from schemas.ids import ExecutionRef
from schemas.values import Failure

ERROR_IN_LIST_BYTES_MAX = 100
"""Lists show the beginning of an error, single replies all of it (ref §1.3)."""
_ERROR_KINDS = frozenset(execution_pb2.ExecutionError.ErrorKind.keys())


def to_execution_id(ref: ExecutionRef) -> identifier_pb2.WorkflowExecutionIdentifier:
    """Return the identifier of an execution."""
    return identifier_pb2.WorkflowExecutionIdentifier(
        project=ref.project, domain=ref.domain, name=ref.name
    )


def to_node_id(ref: ExecutionRef, node: str) -> identifier_pb2.NodeExecutionIdentifier:
    """Return the identifier of a node execution."""
    return identifier_pb2.NodeExecutionIdentifier(
        node_id=node, execution_id=to_execution_id(ref)
    )


def set_timestamp(target: Timestamp, moment: datetime | None) -> None:
    """Set a timestamp; one that isn't known yet stays absent (ref §16.11)."""
    if moment is not None:
        target.FromDatetime(moment)


def set_duration(
    target: Duration, begin: datetime | None, end: datetime | None
) -> None:
    """Set a duration if both ends are known; never negative, though clocks differ."""
    if begin is not None and end is not None:
        target.FromTimedelta(max(end - begin, timedelta()))


def to_error(
    failure: Failure, bytes_max: int | None = None
) -> execution_pb2.ExecutionError:
    """Return an execution error; its message is cut to `bytes_max`, if given."""
    message = failure.message
    if bytes_max is not None:
        message = message.encode()[:bytes_max].decode(errors="ignore")
    error = execution_pb2.ExecutionError(
        code=failure.code,
        message=message,
        error_uri=failure.error_uri,
        # Publishers of commands may name a kind that flyteidl doesn't know.
        kind=failure.kind if failure.kind in _ERROR_KINDS else "UNKNOWN",
        worker=failure.worker,
    )
    if failure.occurred_at_us:
        error.timestamp.FromMicroseconds(failure.occurred_at_us)
    return error
