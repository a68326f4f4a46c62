"""Commands and events of counters, and where their schemas are."""

from __future__ import annotations

from pathlib import Path

from schemas.messages.commands import Command, ResumeStream, TimeReached
from schemas.messages.execution_events import StreamParked, StreamResumed
from schemas.messages.node_events import Event
from schemas.wire import registry
from schemas.wire.codec import Codec
from schemas.wire.registry import MessageSet


class AddToCounter(Command, frozen=True, kw_only=True):
    """Add an amount, after a delay if there is one; forward it to another stream."""

    amount: int
    delay_us: int = 0
    forward_to: str = ""


class CloseCounter(Command, frozen=True, kw_only=True):
    """End a counter."""


class AdditionDelayed(Event, frozen=True, kw_only=True):
    """An amount will be added at a time."""

    amount: int
    due_us: int
    command_id: str


class CounterAdded(Event, frozen=True, kw_only=True):
    """An amount was added, at the time of a delayed addition if `due_us` is set."""

    amount: int
    command_id: str
    due_us: int | None = None
    forward_to: str = ""


class CounterClosed(Event, frozen=True, kw_only=True):
    """The counter has ended."""


CounterCommand = AddToCounter | CloseCounter | ResumeStream | TimeReached
CounterEvent = (
    AdditionDelayed | CounterAdded | CounterClosed | StreamParked | StreamResumed
)
MESSAGES = MessageSet(
    (AddToCounter, CloseCounter, AdditionDelayed, CounterAdded, CounterClosed),
    Path(__file__).parent / "avro",
)
CODEC = Codec(registry.ENGINE, MESSAGES)
"""The engine's messages, and those of counters."""
