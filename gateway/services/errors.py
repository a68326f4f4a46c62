"""How refusals and failures become gRPC statuses; never UNKNOWN (ref §1.4, §1.5)."""

from __future__ import annotations

import functools
import inspect
import secrets
from collections.abc import Awaitable, Callable
from typing import NoReturn, TypeVar

import grpc
import psycopg
import structlog
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import status_pb2

from gateway.services.handlers import CallContext
from infra.blobs.files import BlobNotFoundError, BlobTooLargeError, InvalidBlobPathError
from infra.errors import ConflictError, Dependency, TransientError
from infra.postgres.failures import Failure, failure_of
from schemas.messages.rejections import Reason, Rejected

log_ = structlog.get_logger(__name__)

CODES: dict[Reason, grpc.StatusCode] = {
    reason: grpc.StatusCode[reason.name] for reason in Reason
}
DETAIL_BYTES_MAX = 6_000
"""A status travels in HTTP/2 headers, of which clients take 8 KiB by default."""
_DETAIL_BYTES_WITH_REASONS_MAX = 1_500
_DETAILS_KEY = "grpc-status-details-bin"
_ESCAPED_BYTES = 3

# Errors of adapters whose text is meant for clients.
_CODES_OF_ERRORS: dict[type[Exception], grpc.StatusCode] = {
    BlobNotFoundError: grpc.StatusCode.NOT_FOUND,
    BlobTooLargeError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    InvalidBlobPathError: grpc.StatusCode.INVALID_ARGUMENT,
    ConflictError: grpc.StatusCode.ABORTED,
}

T = TypeVar("T")
C = TypeVar("C", bound=type)
S = TypeVar("S")
Rpc = Callable[[S, Message, CallContext], Awaitable[Message]]
"""A servicer's method, not bound."""


class RpcError(Exception):
    """A call that ends with a status other than OK.

    `reasons` are messages by which programs learn the cause, as Flyte attaches them.
    """

    def __init__(self, code: grpc.StatusCode, detail: str, *reasons: Message) -> None:
        """Set the status, its text and the reasons."""
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.reasons = reasons


def accepted(outcome: T | Rejected) -> T:
    """Return what was accepted; raises RpcError for a rejection."""
    if isinstance(outcome, Rejected):
        raise RpcError(CODES[outcome.reason], outcome.detail)
    return outcome


def invalid(detail: str) -> RpcError:
    """Return the error for an invalid argument."""
    return RpcError(grpc.StatusCode.INVALID_ARGUMENT, detail)


def missing(kind: str, identifier: str) -> RpcError:
    """Return the error for an identifier that names nothing, with Flyte's text."""
    detail = f"missing entity of type {kind} with identifier {identifier}"
    return RpcError(grpc.StatusCode.NOT_FOUND, detail)


def unimplemented(rpc: str) -> RpcError:
    """Return the error for an RPC that this server doesn't implement."""
    detail = f"Expected an RPC that this server has, but {rpc} is not implemented"
    return RpcError(grpc.StatusCode.UNIMPLEMENTED, detail)


def guarded(cls: C) -> C:
    """Make every RPC of a servicer end with a status that says what happened."""
    for name, method in inspect.getmembers(cls, inspect.isfunction):
        if name[0].isupper():
            is_handler = inspect.iscoroutinefunction(method)
            handler = method if is_handler else _unimplemented(name)
            setattr(cls, name, _guarded(name, handler))
    return cls


def _unimplemented(rpc: str) -> Rpc[S]:
    async def call(_self: S, _request: Message, _context: CallContext) -> NoReturn:
        raise unimplemented(rpc)

    return call


def _guarded(rpc: str, method: Rpc[S]) -> Rpc[S]:
    @functools.wraps(method)
    async def call(self: S, request: Message, context: CallContext) -> Message:
        try:
            return await method(self, request, context)
        except grpc.aio.AbortError:
            raise
        except Exception as error:  # noqa: BLE001 - every failure gets a status
            rpc_error = status_of(rpc, error)
        return await abort(context, rpc_error)

    return call


async def abort(context: CallContext, error: RpcError) -> NoReturn:
    """End a call with an error's status."""
    detail = truncated(error.detail, DETAIL_BYTES_MAX)
    await context.abort(error.code, detail, _trailing_metadata(error))


def _trailing_metadata(error: RpcError) -> tuple[tuple[str, bytes], ...]:
    """Return the reasons for programs, if they fit into the headers."""
    size = len(error.detail.encode())
    if not error.reasons or size > _DETAIL_BYTES_WITH_REASONS_MAX:
        return ()
    status = status_pb2.Status(code=error.code.value[0], message=error.detail)
    for reason in error.reasons:
        packed = any_pb2.Any()
        packed.Pack(reason)
        status.details.append(packed)
    return ((_DETAILS_KEY, status.SerializeToString()),)


def truncated(text: str, bytes_max: int) -> str:
    """Return the beginning of a text that fits into so many bytes of a header."""
    used = 0
    for index, character in enumerate(text):
        plain = " " <= character <= "~" and character != "%"
        used += 1 if plain else _ESCAPED_BYTES * len(character.encode())
        if used > bytes_max:
            return text[:index]
    return text


def status_of(rpc: str, error: Exception) -> RpcError:
    """Return the status of a call that raised; unexpected errors are logged."""
    if isinstance(error, RpcError):
        return error
    if _failed(error, Failure.ROW):
        why = str(error).partition("\n")[0]
        return invalid(f"Expected values that can be stored, but: {why}")
    for kind, code in _CODES_OF_ERRORS.items():
        if isinstance(error, kind):
            return RpcError(code, str(error))
    if away := outage(error):
        log_.debug("rpc_failed", rpc=rpc, error=str(error))
        return RpcError(grpc.StatusCode.UNAVAILABLE, away)
    error_id = secrets.token_hex(8)
    log_.error("rpc_failed", rpc=rpc, error_id=error_id, exc_info=error)
    detail = f"{rpc} failed: see error id {error_id} in the server's log"
    return RpcError(grpc.StatusCode.INTERNAL, detail)


def _failed(error: Exception, failure: Failure) -> bool:
    """Return whether Postgres failed in one way."""
    return isinstance(error, psycopg.Error) and failure_of(error) is failure


def outage(error: Exception) -> str:
    """Return for clients what can't be reached; '' if the error is another one.

    An outage has a line of its own in the log, so that calls during it need none.
    """
    what = "the event log or a store"
    if _failed(error, Failure.OUTAGE):
        what = Dependency.POSTGRES
    elif not isinstance(error, TransientError):
        return ""
    elif error.of is not None:
        what = error.of
    return f"Cannot reach {what} now: try again"
