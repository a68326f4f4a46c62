"""Refusals: why a command left no events. A refusal is a record, not an exception."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Reason(StrEnum):
    """The few causes for which a command is turned down; each has a gRPC status."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    INTERNAL = "INTERNAL"


class Rejected(msgspec.Struct, frozen=True):
    """One refusal, told as: Expected to X, but Y."""

    reason: Reason
    detail: str
