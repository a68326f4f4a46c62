"""Deciders: the three pure functions that every kind of stream is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Generic, TypeVar

import msgspec

from schemas.messages import dispatches as d
from schemas.messages.commands import Command
from schemas.messages.execution_events import StreamParked
from schemas.messages.rejections import Reason, Rejected

C = TypeVar("C")
E = TypeVar("E")
S = TypeVar("S")
X = TypeVar("X")


class Send(msgspec.Struct, frozen=True, kw_only=True):
    """A command to another stream, of whichever kind."""

    stream: str
    command: Command


Outgoing = d.DispatchMessage | d.AbortTask | Send
"""What follows from an event: work for a runner, or a command to another stream."""


@dataclass(frozen=True, slots=True)
class Decider(Generic[C, E, S, X]):
    """How a stream's commands become events, its events state, and what follows.

    `decide` returns the events that follow from a command, `evolve` the state after
    an event, `react` what must be sent because of an event, in the same transaction.
    The context holds what was read from outside for a command; replay never sees it.
    """

    initial: S
    decide: Callable[[C, S, X], Sequence[E] | Rejected]
    evolve: Callable[[S, E], S]
    react: Callable[[E, S, X], Sequence[Outgoing]]

    def fold(self, events: Iterable[E]) -> S:
        """Return the state after all of these events."""
        return reduce(self.evolve, events, self.initial)


def parked_rejection(stream: str, parked: StreamParked) -> Rejected:
    """Return why a parked stream takes no command."""
    kind, _, name = stream.partition("/")
    return Rejected(
        Reason.FAILED_PRECONDITION,
        f"Expected {kind} '{name}' to take commands, but it is parked since its "
        f"{parked.command_type} could not be handled ({parked.error}); the command "
        f"was stored as a dead letter until the {kind} is resumed",
    )
