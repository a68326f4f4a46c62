"""AdminService: events of other engines, which this one doesn't take."""

from __future__ import annotations

from typing import Any, NoReturn

import grpc

from gateway.services.errors import RpcError


class EventRpcs:
    """RPCs by which FlytePropeller reports to FlyteAdmin.

    Here phases follow from events, which the engine alone decides; whoever wants to
    tell it something publishes commands.
    """

    async def CreateWorkflowEvent(self, _request: Any, _context: Any) -> NoReturn:  # noqa: N802
        """Refuse the phase of an execution."""
        raise _refusal("CreateWorkflowEvent")

    async def CreateNodeEvent(self, _request: Any, _context: Any) -> NoReturn:  # noqa: N802
        """Refuse the phase of a node."""
        raise _refusal("CreateNodeEvent")

    async def CreateTaskEvent(self, _request: Any, _context: Any) -> NoReturn:  # noqa: N802
        """Refuse the phase of an attempt."""
        raise _refusal("CreateTaskEvent")


def _refusal(rpc: str) -> RpcError:
    return RpcError(
        grpc.StatusCode.UNIMPLEMENTED,
        f"Expected no events from outside, but got {rpc}: this engine decides phases "
        "itself, and publishes each as an event of its log",
    )
