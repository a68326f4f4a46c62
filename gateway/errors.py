"""How refusals and failures become gRPC statuses; never UNKNOWN (ref §1.4, §1.5)."""

from __future__ import annotations

import functools
import inspect
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import grpc
import structlog

from schemas.rejections import Reason, Rejected

log_ = structlog.get_logger(__name__)

CODES: dict[Reason, grpc.StatusCode] = {
    Reason.INVALID_ARGUMENT: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Reason.ALREADY_EXISTS: grpc.StatusCode.ALREADY_EXISTS,
    Reason.FAILED_PRECONDITION: grpc.StatusCode.FAILED_PRECONDITION,
    Reason.PERMISSION_DENIED: grpc.StatusCode.PERMISSION_DENIED,
    Reason.RESOURCE_EXHAUSTED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Reason.INTERNAL: grpc.StatusCode.INTERNAL,
}
DETAIL_MAX = 6_000
"""Longer texts don't fit the HTTP/2 header that carries them to the client."""

T = TypeVar("T")
C = TypeVar("C", bound=type)


class Refused(Exception):  # noqa: N818 - a refusal on its way out
    """A call that ends with a status other than OK."""

    def __init__(self, code: grpc.StatusCode, detail: str) -> None:
        """Keep the status and its words."""
        super().__init__(detail)
        self.code = code
        self.detail = detail


def accepted(outcome: T | Rejected) -> T:
    """Return what was accepted; raises Refused for a rejection."""
    if isinstance(outcome, Rejected):
        raise Refused(CODES[outcome.reason], outcome.detail)
    return outcome


def invalid(detail: str) -> Refused:
    """Return the refusal of a bad argument."""
    return Refused(grpc.StatusCode.INVALID_ARGUMENT, detail)


def missing(kind: str, identifier: str) -> Refused:
    """Return the refusal of an id that names nothing, in Flyte's words."""
    detail = f"missing entity of type {kind} with identifier {identifier}"
    return Refused(grpc.StatusCode.NOT_FOUND, detail)


def guarded(cls: C) -> C:
    """Let every RPC of a servicer end with a status that tells what happened."""
    for name, method in inspect.getmembers(cls, inspect.iscoroutinefunction):
        if name[0].isupper():
            setattr(cls, name, _guarded(name, method))
    return cls


def _guarded(
    rpc: str, method: Callable[..., Awaitable[Any]]
) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(method)
    async def call(self: Any, request: Any, context: Any) -> Any:
        try:
            return await method(self, request, context)
        except Refused as refused:
            await context.abort(refused.code, refused.detail[:DETAIL_MAX])
        except grpc.aio.AbortError:
            raise
        except Exception:
            error_id = secrets.token_hex(8)
            log_.exception("rpc_failed", rpc=rpc, error_id=error_id)
            await context.abort(
                grpc.StatusCode.INTERNAL,
                f"Expected to serve {rpc}, but it failed; the server's log tells why "
                f"under error id {error_id}",
            )

    return call
