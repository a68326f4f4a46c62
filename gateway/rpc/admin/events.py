"""AdminService: events of other engines, which this one doesn't accept."""

from __future__ import annotations

from typing import NoReturn

import grpc
from flyteidl.admin import event_pb2

from gateway.services.errors import RpcError
from gateway.services.handlers import CallContext


class EventRpcs:
    """RPCs by which FlytePropeller reports to FlyteAdmin.

    Here phases follow from events, which this engine alone emits; other programs
    publish commands.
    """

    async def CreateWorkflowEvent(
        self, _request: event_pb2.WorkflowExecutionEventRequest, _context: CallContext
    ) -> NoReturn:
        """Refuse the phase of an execution."""
        raise _refusal("CreateWorkflowEvent")

    async def CreateNodeEvent(
        self, _request: event_pb2.NodeExecutionEventRequest, _context: CallContext
    ) -> NoReturn:
        """Refuse the phase of a node."""
        raise _refusal("CreateNodeEvent")

    async def CreateTaskEvent(
        self, _request: event_pb2.TaskExecutionEventRequest, _context: CallContext
    ) -> NoReturn:
        """Refuse the phase of an attempt."""
        raise _refusal("CreateTaskEvent")


def _refusal(rpc: str) -> RpcError:
    return RpcError(
        grpc.StatusCode.UNIMPLEMENTED,
        f"Expected no events from outside, but got {rpc}: this engine decides phases "
        "itself, and publishes each as an event of its log",
    )
