"""Call a gRPC servicer in this process, as REST does: same handlers, same errors."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import grpc
import msgspec
import structlog

from gateway.rest.status_codes import http_status

log_ = structlog.get_logger(__name__)

Metadata = tuple[tuple[str, str], ...]

MESSAGE_LENGTH_MAX = 32_000
"""Longer error texts are cut, as Flyte does (ref §1.1)."""

_PREFIX = "grpc-metadata-"
_PASSED = frozenset(
    {"authorization", "flyte-authorization", "traceparent", "x-request-id"}
)


class CallError(grpc.aio.AbortError):  # type: ignore[misc]
    """The servicer ended the call with a status other than OK."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        """Keep the status and its text."""
        super().__init__(details)
        self.code = code
        self.details = details


class RestContext:
    """What a servicer gets for a context when REST calls it."""

    def __init__(self, metadata: Metadata = (), peer: str = "") -> None:
        """Take what the client sent as metadata, and where it called from."""
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
        """End the call with a status; raises CallFailed."""
        self._code, self._details = code, details
        self._trailing = tuple(trailing_metadata)
        raise CallError(code, details)

    async def abort_with_status(self, status: Any) -> NoReturn:
        """End the call with a status that bears its own code and text."""
        await self.abort(status.code, status.details, status.trailing_metadata or ())

    async def send_initial_metadata(self, initial_metadata: Metadata) -> None:
        """Send nothing: HTTP's headers go out with the reply."""

    def invocation_metadata(self) -> Metadata:
        """Return what the client sent."""
        return self._metadata

    def set_trailing_metadata(self, trailing_metadata: Metadata) -> None:
        """Keep what would follow the reply."""
        self._trailing = tuple(trailing_metadata)

    def trailing_metadata(self) -> Metadata:
        """Return what would follow the reply."""
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
        """Return where the client called from."""
        return self._peer

    def auth_context(self) -> Mapping[str, Sequence[bytes]]:
        """Return nothing: the transport names nobody."""
        return {}

    def time_remaining(self) -> float | None:
        """Return None: HTTP clients set no deadline."""
        return None


async def call(
    servicer: Any, rpc: str, request: Any, context: RestContext, timeout_s: float
) -> Any:
    """Return the servicer's reply; raises CallFailed for everything else."""
    method = getattr(servicer, rpc, None)
    if method is None:
        raise CallError(
            grpc.StatusCode.UNIMPLEMENTED, f"Expected to serve {rpc}, but it is missing"
        )
    try:
        async with asyncio.timeout(timeout_s):
            reply = await method(request, context)
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
        raise CallError(
            grpc.StatusCode.INTERNAL, f"Expected to serve {rpc}, but it failed"
        ) from error
    if context.code() not in (None, grpc.StatusCode.OK):
        raise CallError(context.code(), context.details())
    return reply


def metadata_of(headers: Mapping[str, str]) -> Metadata:
    """Return the headers that go on as metadata, as grpc-gateway picks them."""
    kept = []
    for name, value in headers.items():
        lower = name.lower()
        if lower.startswith(_PREFIX):
            kept.append((lower.removeprefix(_PREFIX), value))
        elif lower in _PASSED:
            kept.append((lower, value))
    return tuple(kept)


def error_body(code: grpc.StatusCode, details: str) -> tuple[int, bytes]:
    """Return the HTTP status and JSON body that tell of a failed call."""
    text = details[:MESSAGE_LENGTH_MAX]
    body = {"error": text, "code": code.value[0], "message": text, "details": []}
    return http_status(code), msgspec.json.encode(body)
