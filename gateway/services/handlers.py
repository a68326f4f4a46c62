"""What an RPC handler is: a request and the call's context in, a reply out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NoReturn, Protocol

from google.protobuf.message import Message
from grpc import StatusCode

Metadata = Sequence[tuple[str, str | bytes]]


class CallContext(Protocol):
    """What a handler is given of its call: gRPC's own context, or that of REST."""

    async def abort(
        self,
        code: StatusCode,
        details: str = "",
        trailing_metadata: Metadata = (),
    ) -> NoReturn:
        """End the call with a status; raises grpc.aio.AbortError."""
        ...

    def code(self) -> StatusCode | int | None:
        """Return the status, as a number over gRPC; None or 0 while it is OK."""
        ...


Handler = Callable[[Message, CallContext], Awaitable[Message]]
"""A servicer's method, bound."""
