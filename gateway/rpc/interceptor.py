"""Around every gRPC call: the request is parsed, the call measured and logged."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import grpc
import structlog
from google.protobuf.message import Message

from gateway.services.errors import RpcError, abort, invalid
from gateway.services.handlers import CallContext

log_ = structlog.get_logger(__name__)

Observe = Callable[[str, str, float], None]
"""Called after each call with the RPC's name, its status, and its seconds."""
# Stubs describe handlers of synchronous servers: theirs return the message itself.
Method: TypeAlias = "grpc.RpcMethodHandler[Message, Awaitable[Message]]"
Continuation: TypeAlias = (
    "Callable[[grpc.HandlerCallDetails], Awaitable[Method | None]]"
)

_FLYTEIDL = "/flyteidl."
_AUTH = frozenset(
    {
        "flyteidl.service.IdentityService",
        "flyteidl.service.AuthMetadataService",
    }
)
_CODES_BY_NUMBER = {code.value[0]: code for code in grpc.StatusCode}


def ignore_call(_rpc: str, _code: str, _seconds: float) -> None:
    """Observe a call without doing anything."""


class RpcInterceptor(grpc.aio.ServerInterceptor):
    """Wraps the RPCs of flyteidl's services; health and reflection stay as they are."""

    def __init__(self, observe: Observe = ignore_call) -> None:
        """Call `observe` after each call."""
        self._observe = observe
        self._methods: dict[str, Method] = {}

    async def intercept_service(  # type: ignore[override]  # one type for all methods
        self,
        continuation: Continuation,
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Method:
        """Return the handler of a method, wrapped once."""
        name = handler_call_details.method
        if name in self._methods:
            return self._methods[name]
        method = await continuation(handler_call_details)
        if method is None:
            return _unknown(name)
        if name.startswith(_FLYTEIDL):
            method = self._wrapped(name.rpartition("/")[2], method)
        self._methods[name] = method
        return method

    def _wrapped(self, rpc: str, method: Method) -> Method:
        handle, parse = method.unary_unary, method.request_deserializer
        if handle is None or parse is None:
            return method

        async def call(data: bytes, context: CallContext) -> Message:
            started_s, code = time.monotonic(), ""
            try:
                request = await _parsed(rpc, parse, data, context)
                return await handle(request, context)  # type: ignore[arg-type]  # stub: synchronous context
            except asyncio.CancelledError:
                code = "CANCELLED"
                raise
            finally:
                seconds = time.monotonic() - started_s
                code = code or _code(context)
                self._observe(rpc, code, seconds)
                log_.debug("rpc", rpc=rpc, code=code, ms=round(seconds * 1000, 2))

        return grpc.unary_unary_rpc_method_handler(
            call, response_serializer=method.response_serializer
        )


async def _parsed(
    rpc: str, parse: Callable[[bytes], Message], data: bytes, context: CallContext
) -> Message:
    """Return the request; invalid bytes end the call with INVALID_ARGUMENT."""
    try:
        return parse(data)
    except Exception as error:  # noqa: BLE001 - protobuf documents no common class
        await abort(context, invalid(f"Expected a {rpc} request, but: {error}"))


def _code(context: CallContext) -> str:
    """Return the name of a call's status."""
    code = context.code() or 0
    status = code if isinstance(code, grpc.StatusCode) else _CODES_BY_NUMBER[code]
    return status.name


def _unknown(method: str) -> Method:
    """Return a handler whose error says what is missing; gRPC's own doesn't."""
    service, _, rpc = method.strip("/").rpartition("/")
    why = "authentication is off" if service in _AUTH else "this server has none"
    error = RpcError(
        grpc.StatusCode.UNIMPLEMENTED,
        f"unknown service {service}: Expected {rpc} to be served, but {why}",
    )

    async def call(_data: bytes, context: CallContext) -> Message:
        await abort(context, error)

    return grpc.unary_unary_rpc_method_handler(call)
