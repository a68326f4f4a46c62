"""The shape of a decider: three pure functions, and the one way to fold events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Generic, TypeVar

from schemas.messages.rejections import Rejected

C = TypeVar("C")
E = TypeVar("E")
S = TypeVar("S")
M = TypeVar("M")
X = TypeVar("X")


@dataclass(frozen=True, slots=True)
class Decider(Generic[C, E, S, M, X]):
    """Decide says which events follow from a wish, evolve folds one event in.

    React says which messages must leave because of an event, in the same transaction.
    The context holds what the loop brought in from outside; replay never sees it.
    """

    initial: S
    decide: Callable[[C, S, X], Sequence[E] | Rejected]
    evolve: Callable[[S, E], S]
    react: Callable[[E, S, X], Sequence[M]]

    def fold(self, events: Iterable[E]) -> S:
        """Return the state after all of these events."""
        return reduce(self.evolve, events, self.initial)
