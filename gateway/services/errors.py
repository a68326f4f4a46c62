"""How refusals and failures become gRPC statuses; never UNKNOWN (ref §1.4, §1.5)."""

from __future__ import annotations

import functools
import inspect
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn, TypeVar

import grpc
import psycopg
import structlog
from google.protobuf import any_pb2
from google.rpc import status_pb2

from infra.blobs.files import BlobNotFoundError, BlobTooLargeError, InvalidBlobPathError
from infra.errors import ConflictError, TransientError
from schemas.messages.rejections import Reason, Rejected

log_ = structlog.get_logger(__name__)

CODES: dict[Reason, grpc.StatusCode] = {
    reason: grpc.StatusCode[reason.name] for reason in Reason
}
DETAIL_BYTES_MAX = 6_000
"""A status travels in HTTP/2 headers, of which clients take 8 KiB by default."""
_REASONS_BESIDE_MAX = 1_500
_DETAILS_KEY = "grpc-status-details-bin"
_ESCAPED_BYTES = 3

# What the pipes say in words that are fit for clients.
_TOLD: dict[type[Exception], grpc.StatusCode] = {
    BlobNotFoundError: grpc.StatusCode.NOT_FOUND,
    BlobTooLargeError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    InvalidBlobPathError: grpc.StatusCode.INVALID_ARGUMENT,
    ConflictError: grpc.StatusCode.ABORTED,
}

T = TypeVar("T")
C = TypeVar("C", bound=type)
Rpc = Callable[[Any, Any, Any], Awaitable[Any]]


class RpcError(Exception):
    """A call that ends with a status other than OK.

    `reasons` are messages that tell programs why, as Flyte attaches them.
    """

    def __init__(self, code: grpc.StatusCode, detail: str, *reasons: Any) -> None:
        """Keep the status and its words."""
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.reasons = reasons


def accepted(outcome: T | Rejected) -> T:
    """Return what was accepted; raises Refused for a rejection."""
    if isinstance(outcome, Rejected):
        raise RpcError(CODES[outcome.reason], outcome.detail)
    return outcome


def invalid(detail: str) -> RpcError:
    """Return the refusal of a bad argument."""
    return RpcError(grpc.StatusCode.INVALID_ARGUMENT, detail)


def missing(kind: str, identifier: str) -> RpcError:
    """Return the refusal of an id that names nothing, in Flyte's words."""
    detail = f"missing entity of type {kind} with identifier {identifier}"
    return RpcError(grpc.StatusCode.NOT_FOUND, detail)


def absent(rpc: str) -> RpcError:
    """Return the refusal of an RPC that this server doesn't have."""
    detail = f"Expected an RPC that this server has, but {rpc} is not implemented"
    return RpcError(grpc.StatusCode.UNIMPLEMENTED, detail)


def guarded(cls: C) -> C:
    """Let every RPC of a servicer end with a status that tells what happened."""
    for name, method in inspect.getmembers(cls, inspect.isfunction):
        if name[0].isupper():
            served = method if inspect.iscoroutinefunction(method) else _absent(name)
            setattr(cls, name, _guarded(name, served))
    return cls


def _absent(rpc: str) -> Rpc:
    async def call(_self: Any, _request: Any, _context: Any) -> NoReturn:
        raise absent(rpc)

    return call


def _guarded(rpc: str, method: Rpc) -> Rpc:
    @functools.wraps(method)
    async def call(self: Any, request: Any, context: Any) -> Any:
        try:
            return await method(self, request, context)
        except grpc.aio.AbortError:
            raise
        except Exception as error:  # noqa: BLE001 - every failure gets a status
            refused = status_of(rpc, error)
        return await abort(context, refused)

    return call


async def abort(context: Any, refused: RpcError) -> NoReturn:
    """End a call with a refusal."""
    detail = fitting(refused.detail, DETAIL_BYTES_MAX)
    await context.abort(refused.code, detail, _trailing(refused))
    raise AssertionError  # pragma: no cover - abort raises


def _trailing(refused: RpcError) -> tuple[tuple[str, bytes], ...]:
    """Return the reasons for programs, where there is room for them."""
    if not refused.reasons or len(refused.detail.encode()) > _REASONS_BESIDE_MAX:
        return ()
    status = status_pb2.Status(code=refused.code.value[0], message=refused.detail)
    for reason in refused.reasons:
        packed = any_pb2.Any()
        packed.Pack(reason)
        status.details.append(packed)
    return ((_DETAILS_KEY, status.SerializeToString()),)


def fitting(text: str, bytes_max: int) -> str:
    """Return the beginning of a text that fits into so many bytes of a header."""
    used = 0
    for place, letter in enumerate(text):
        plain = " " <= letter <= "~" and letter != "%"
        used += 1 if plain else _ESCAPED_BYTES * len(letter.encode())
        if used > bytes_max:
            return text[:place]
    return text


def status_of(rpc: str, error: Exception) -> RpcError:
    """Return the status of a call that raised; what nobody expected is logged."""
    if isinstance(error, RpcError):
        return error
    if isinstance(error, psycopg.DataError):
        why = str(error).partition("\n")[0]
        return invalid(f"Expected values that can be stored, but: {why}")
    for kind, code in _TOLD.items():
        if isinstance(error, kind):
            return RpcError(code, str(error))
    if isinstance(error, psycopg.OperationalError | TransientError):
        return _logged(rpc, error, grpc.StatusCode.UNAVAILABLE, "its store is away")
    return _logged(rpc, error, grpc.StatusCode.INTERNAL, "it failed")


def _logged(rpc: str, error: Exception, code: grpc.StatusCode, found: str) -> RpcError:
    error_id = secrets.token_hex(8)
    log_.error("rpc_failed", rpc=rpc, error_id=error_id, exc_info=error)
    return RpcError(
        code,
        f"Expected to serve {rpc}, but {found}; the server's log tells why under "
        f"error id {error_id}",
    )
