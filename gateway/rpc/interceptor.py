"""Around every gRPC call: read, measure, tell of services that aren't there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import structlog

from gateway.services.errors import RpcError, abort, invalid

log_ = structlog.get_logger(__name__)

Observe = Callable[[str, str, float], None]
"""Is told the RPC's name, its status and how many seconds it took."""

OURS = "/flyteidl."
_AUTH = frozenset(
    {
        "flyteidl.service.IdentityService",
        "flyteidl.service.AuthMetadataService",
    }
)


def nobody(_rpc: str, _code: str, _seconds: float) -> None:
    """Tell nobody of a call."""


class Around(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Wraps the RPCs of flyteidl's services; health and reflection stay as they are."""

    def __init__(self, observe: Observe = nobody) -> None:
        """Tell `observe` of every call."""
        self._observe = observe
        self._wrapped: dict[str, Any] = {}

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], details: Any
    ) -> Any:
        """Return the handler of a method, wrapped once."""
        method = details.method
        if method in self._wrapped:
            return self._wrapped[method]
        handler = await continuation(details)
        if handler is None:
            return _unknown(method)
        if method.startswith(OURS) and handler.unary_unary is not None:
            handler = self._around(method.rpartition("/")[2], handler)
        self._wrapped[method] = handler
        return handler

    def _around(self, rpc: str, handler: Any) -> Any:
        async def call(data: bytes, context: Any) -> Any:
            started_s, code = time.monotonic(), ""
            try:
                request = await _read(rpc, handler, data, context)
                return await handler.unary_unary(request, context)
            except asyncio.CancelledError:
                code = "CANCELLED"
                raise
            finally:
                seconds = time.monotonic() - started_s
                code = code or _code(context)
                self._observe(rpc, code, seconds)
                log_.debug("rpc", rpc=rpc, code=code, ms=round(seconds * 1000, 2))

        return grpc.unary_unary_rpc_method_handler(
            call, response_serializer=handler.response_serializer
        )


async def _read(rpc: str, handler: Any, data: bytes, context: Any) -> Any:
    """Return the request; bytes that are none end the call, not by UNKNOWN."""
    try:
        return handler.request_deserializer(data)
    except Exception as error:  # noqa: BLE001 - protobuf raises what it likes
        await abort(context, invalid(f"Expected a {rpc} request, but: {error}"))


def _code(context: Any) -> str:
    """Return the name of a call's status."""
    number = context.code() or 0
    code = number if isinstance(number, grpc.StatusCode) else _BY_NUMBER[number]
    return str(code.name)


_BY_NUMBER = {code.value[0]: code for code in grpc.StatusCode}


def _unknown(method: str) -> Any:
    """Return a handler that says what is missing: grpc's own words don't."""
    service, _, rpc = method.strip("/").rpartition("/")
    why = "authentication is off" if service in _AUTH else "this server has none"
    refused = RpcError(
        grpc.StatusCode.UNIMPLEMENTED,
        f"unknown service {service}: Expected {rpc} to be served, but {why}",
    )

    async def call(_data: bytes, context: Any) -> Any:
        await abort(context, refused)

    return grpc.unary_unary_rpc_method_handler(call)
