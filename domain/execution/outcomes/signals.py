"""Signals: which commands about them are rejected, and why (ref §5.6)."""

from __future__ import annotations

from flyteidl.core import literals_pb2, types_pb2
from google.protobuf.message import DecodeError

from domain.execution.context import Context
from domain.execution.state.state import Execution
from domain.literals.casting import literal_matches
from domain.literals.literal_types import describe
from schemas.messages import commands as c
from schemas.messages.rejections import Reason, Rejected

_SHOWN_MAX = 100


def rejection(
    command: c.ExecutionCommand, state: Execution, context: Context
) -> Rejected | None:
    """Return why a signal can't be asked for or set; None for other commands."""
    name = context.stream.removeprefix("execution/")
    if isinstance(command, c.SetSignal):
        return _reject_setting(command, state, name)
    if isinstance(command, c.RequestSignal):
        return _reject_request(command, state, name)
    return None


def violation(signal_id: str, value: bytes, wanted: bytes) -> str:
    """Return what is wrong with a signal's value; '' if it has the signal's type."""
    asked = types_pb2.LiteralType.FromString(wanted)
    try:
        literal = literals_pb2.Literal.FromString(value)
    except DecodeError:
        return f"Expected signal '{signal_id}' to get a Literal, but got other bytes"
    if literal_matches(literal, asked):
        return ""
    found = literal.WhichOneof("value") or "nothing"
    text = str(literal).replace("\n", " ").strip()[:_SHOWN_MAX]
    wanted_text = f"Expected signal '{signal_id}' to get {describe(asked)}"
    return f"{wanted_text}, but got {text or found}"


def type_of(data: bytes) -> types_pb2.LiteralType | None:
    """Return the core.LiteralType in these bytes; None if there is none."""
    try:
        found = types_pb2.LiteralType.FromString(data)
    except DecodeError:
        return None
    return found if found.WhichOneof("type") else None


def _reject_setting(
    command: c.SetSignal, state: Execution, name: str
) -> Rejected | None:
    signal = state.signals.get(command.signal_id)
    if signal is None:
        known = ", ".join(sorted(state.signals)) or "none"
        return Rejected(
            Reason.INVALID_ARGUMENT,
            f"Expected execution '{name}' to wait for signal "
            f"'{command.signal_id[:_SHOWN_MAX]}', "
            f"but until now it waits for {known}",
        )
    wrong = violation(command.signal_id, command.value, signal.type)
    return Rejected(Reason.INVALID_ARGUMENT, wrong) if wrong else None


def _reject_request(
    command: c.RequestSignal, state: Execution, name: str
) -> Rejected | None:
    asked = type_of(command.type)
    if not command.signal_id or asked is None:
        detail = "Expected a signal with an id and a type, but one is missing"
        return Rejected(Reason.INVALID_ARGUMENT, detail)
    known = state.signals.get(command.signal_id)
    if known is None or type_of(known.type) == asked:
        return None
    return Rejected(
        Reason.ALREADY_EXISTS,
        f"Expected signal '{command.signal_id}' of execution '{name}' to be a "
        f"{describe(asked)}, but it is a {describe(type_of(known.type))}",
    )
