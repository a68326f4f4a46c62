"""Calls of gRPC servicers in this process, for REST: same handlers, same errors."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NoReturn

import grpc
import msgspec
import structlog
from flyteidl.service import (
    admin_pb2_grpc,
    dataproxy_pb2_grpc,
    signal_pb2_grpc,
)
from google.protobuf.message import Message
from starlette.responses import Response

from gateway.rest.status_codes import http_status
from gateway.services.handlers import Handler, Metadata

log_ = structlog.get_logger(__name__)

Servicer = (
    admin_pb2_grpc.AdminServiceServicer
    | dataproxy_pb2_grpc.DataProxyServiceServicer
    | signal_pb2_grpc.SignalServiceServicer
)

MESSAGE_LENGTH_MAX = 32_000
"""Longer error texts are cut, as Flyte does (ref §1.1)."""

_PREFIX = "grpc-metadata-"
_PASSED = frozenset(
    {"authorization", "flyte-authorization", "traceparent", "x-request-id"}
)


class CallError(grpc.aio.AbortError):
    """The servicer ended the call with a status other than OK."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        """Set the status and its text."""
        super().__init__(details)
        self.code = code
        self.details = details


class RestContext:
    """The context of a call that came over REST."""

    def __init__(self, metadata: Metadata = (), peer: str = "") -> None:
        """Set the client's metadata and address."""
        self._metadata = metadata
        self._peer = peer
        self._code = grpc.StatusCode.OK
        self._details = ""
        self._trailing: Metadata = ()

    async def abort(
        self,
        code: grpc.StatusCode,
        details: str = "",
        trailing_metadata: Metadata = (),
    ) -> NoReturn:
        """End the call with a status; raises CallError."""
        self._code, self._details = code, details
        self._trailing = tuple(trailing_metadata)
        raise CallError(code, details)

    async def abort_with_status(self, status: grpc.Status) -> NoReturn:
        """End the call with a status; raises CallError."""
        await self.abort(status.code, status.details, status.trailing_metadata or ())

    async def send_initial_metadata(self, initial_metadata: Metadata) -> None:
        """Send nothing: HTTP headers are sent with the reply."""

    def invocation_metadata(self) -> Metadata:
        """Return the client's metadata."""
        return self._metadata

    def set_trailing_metadata(self, trailing_metadata: Metadata) -> None:
        """Set the trailing metadata; REST replies have none."""
        self._trailing = tuple(trailing_metadata)

    def trailing_metadata(self) -> Metadata:
        """Return the trailing metadata."""
        return self._trailing

    def set_code(self, code: grpc.StatusCode) -> None:
        """Set the status that the call ends with."""
        self._code = code

    def set_details(self, details: str) -> None:
        """Set the text of the status."""
        self._details = details

    def code(self) -> grpc.StatusCode:
        """Return the status."""
        return self._code

    def details(self) -> str:
        """Return the text of the status."""
        return self._details

    def peer(self) -> str:
        """Return the client's address."""
        return self._peer

    def auth_context(self) -> Mapping[str, tuple[bytes, ...]]:
        """Return nothing: the transport doesn't authenticate."""
        return {}

    def time_remaining(self) -> float | None:
        """Return None: HTTP clients set no deadline."""
        return None


async def call(
    servicer: Servicer,
    rpc: str,
    request: Message,
    context: RestContext,
    timeout_s: float,
) -> Message:
    """Return the servicer's reply; raises CallError for any other status than OK."""
    handler: Handler | None = getattr(servicer, rpc, None)
    if handler is None:
        raise CallError(
            grpc.StatusCode.UNIMPLEMENTED, f"Expected to serve {rpc}, but it is missing"
        )
    try:
        async with asyncio.timeout(timeout_s):
            reply = await handler(request, context)
    except CallError:
        raise
    except TimeoutError as error:
        raise CallError(
            grpc.StatusCode.DEADLINE_EXCEEDED,
            f"Expected {rpc} to answer within {timeout_s:g} s, but it takes longer",
        ) from error
    except NotImplementedError as error:
        raise CallError(
            grpc.StatusCode.UNIMPLEMENTED, str(error) or f"{rpc} is not implemented"
        ) from error
    except Exception as error:
        log_.exception("rest_request_failed", rpc=rpc)
        raise CallError(grpc.StatusCode.INTERNAL, f"{rpc} failed") from error
    if context.code() is not grpc.StatusCode.OK:
        raise CallError(context.code(), context.details())
    return reply


def metadata_of(headers: Mapping[str, str]) -> Metadata:
    """Return the headers that are metadata, chosen as grpc-gateway does."""
    metadata = []
    for name, value in headers.items():
        lower = name.lower()
        if lower.startswith(_PREFIX):
            metadata.append((lower.removeprefix(_PREFIX), value))
        elif lower in _PASSED:
            metadata.append((lower, value))
    return tuple(metadata)


def error_response(
    code: grpc.StatusCode, details: str, http_code: int | None = None
) -> Response:
    """Return the response to a failed call; by default with its status over HTTP."""
    text = details[:MESSAGE_LENGTH_MAX]
    body = {"error": text, "code": code.value[0], "message": text, "details": []}
    return Response(
        msgspec.json.encode(body),
        status_code=http_code or http_status(code),
        media_type="application/json",
    )
